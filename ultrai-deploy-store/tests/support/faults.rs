//! An object store that stops working, as one does whose process is killed.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

/// What happens to the operation at which it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is not carried out.
    Before,
    /// It is, and nobody hears of it.
    After,
    /// It never ends, and is not carried out.
    Hang,
}

/// Works for a number of operations, then never again.
#[derive(Debug)]
pub struct Dying {
    inner: Arc<dyn ObjectStore>,
    left: Arc<AtomicI64>,
    stop: Stop,
}

impl Dying {
    pub fn after(inner: &Arc<dyn ObjectStore>, operations: i64, stop: Stop) -> Self {
        Self { inner: Arc::clone(inner), left: Arc::new(AtomicI64::new(operations)), stop }
    }

    /// How many operations were asked for.
    pub fn asked(&self, operations: i64) -> i64 {
        operations - self.left.load(Ordering::SeqCst)
    }

    async fn pass<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return work.await;
        }
        if left == 0 && self.stop == Stop::After {
            let _unheard = work.await;
        }
        if self.stop == Stop::Hang {
            std::future::pending::<()>().await;
        }
        Err(dead())
    }
}

fn dead() -> Error {
    Error::Generic { store: "dying", source: "the process is dead".into() }
}

impl fmt::Display for Dying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dying")
    }
}

#[async_trait]
impl ObjectStore for Dying {
    async fn put_opts(&self, at: &Path, content: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.pass(self.inner.put_opts(at, content, how)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.pass(self.inner.put_multipart_opts(at, how)).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.pass(self.inner.get_opts(at, how)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, left, stop) = (Arc::clone(&self.inner), Arc::clone(&self.left), self.stop);
        let one = move |path: Result<Path>| {
            let dying = Self { inner: Arc::clone(&inner), left: Arc::clone(&left), stop };
            async move {
                let path = path?;
                let delete = async {
                    let paths = futures_util::stream::iter([Ok(path.clone())]).boxed();
                    dying.inner.delete_stream(paths).next().await.unwrap_or_else(|| Err(dead()))
                };
                dying.pass(delete).await
            }
        };
        paths.then(one).boxed()
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list(below);
        let dying =
            Self { inner: Arc::clone(&self.inner), left: Arc::clone(&self.left), stop: self.stop };
        let begun = async move {
            match dying.pass(async { Ok(listed) }).await {
                Ok(listed) => listed,
                Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
            }
        };
        futures_util::stream::once(begun).flatten().boxed()
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
        self.pass(self.inner.list_with_delimiter(below)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.pass(self.inner.copy_opts(from, to, how)).await
    }
}
