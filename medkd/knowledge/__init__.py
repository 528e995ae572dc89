"""What a teacher knows about a batch, whether it is asked now or was asked before."""
