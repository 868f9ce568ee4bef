"""The routes of the amphora API, one module a resource; `base` says how one is declared."""
