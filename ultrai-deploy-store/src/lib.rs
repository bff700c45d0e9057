//! What an environment keeps, in an object store: local disk, S3 and what speaks its protocol, Google
//! Cloud Storage, Azure Blob Storage, or memory.
