"""What a machine or a cluster is set up with."""
