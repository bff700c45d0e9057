//! Tar archives that nobody vouches for.
