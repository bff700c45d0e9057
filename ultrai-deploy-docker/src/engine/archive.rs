//! Archives that the engine writes and reads: files of containers, and images.

use std::{io, time::Duration};

use bollard::{
    body_try_stream,
    query_parameters::{
        DownloadFromContainerOptionsBuilder, ImportImageOptionsBuilder,
        UploadToContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use ultrai_deploy_core::error::Result;

use super::{Engine, engine_error};

/// Longest single request that moves data; the deadline of its step comes first.
const LONGEST: Duration = Duration::from_hours(24);

impl Engine {
    /// The files at a path in a container, which need not run.
    pub(crate) async fn download(
        &self,
        id: &str,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let client = self.patient_client(LONGEST).await?;
        let id = id.to_owned();
        let read = client.download_from_container(&id, Some(options));
        Ok(read.map(move |piece| {
            piece.map_err(|source| engine_error("read files of a container", &id, source))
        }))
    }

    /// Unpacks an archive into a directory of a container, which need not run.
    pub(crate) async fn upload(
        &self,
        id: &str,
        path: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let options = UploadToContainerOptionsBuilder::default().path(path).build();
        let client = self.patient_client(LONGEST).await?;
        let done = client.upload_to_container(id, Some(options), body_try_stream(archive)).await;
        done.map_err(|source| engine_error("write files of a container", id, source))
    }

    /// An image as an archive.
    pub(crate) async fn export(
        &self,
        image: &str,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let client = self.patient_client(LONGEST).await?;
        let image = image.to_owned();
        let read = client.export_image(&image);
        Ok(read.map(move |piece| {
            piece.map_err(|source| engine_error("read an image", &image, source))
        }))
    }

    /// Loads images from an archive.
    pub(crate) async fn load(
        &self,
        image: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let client = self.patient_client(LONGEST).await?;
        let mut told = client.import_image(options, body_try_stream(archive), None);
        while let Some(one) = told.next().await {
            one.map_err(|source| engine_error("load an image", image, source))?;
        }
        Ok(())
    }
}
