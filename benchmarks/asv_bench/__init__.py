"""What asv compares from commit to commit; see ../asv.conf.json. Uses the public interface alone."""
