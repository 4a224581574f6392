"""Export to a program of torch.export."""
