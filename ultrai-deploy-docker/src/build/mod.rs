//! What an image is built from: the context, its ignore file, its Dockerfile.

mod archive;
mod bases;
mod context;
mod ignore;
mod pattern;

pub(crate) use self::context::BuildContext;

#[cfg(test)]
mod tests;
