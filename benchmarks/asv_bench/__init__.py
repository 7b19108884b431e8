"""What asv compares from commit to commit; see ../asv.conf.json."""
