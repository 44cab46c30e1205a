//! The digests of images, asked of a Docker daemon or of their registries.
