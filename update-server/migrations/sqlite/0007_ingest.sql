-- What every report writes, in few bytes: products packed (see store/state.rs; rows from before have
-- them as JSON in `products` until their next report). `reply` is kept only where it says more than
-- "nothing was asked, nothing is granted", which is worked out again.
ALTER TABLE cluster ADD COLUMN state BLOB;
