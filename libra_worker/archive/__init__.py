"""ARCHIVE: access logs go to an object store, and are removed here once it has them."""
