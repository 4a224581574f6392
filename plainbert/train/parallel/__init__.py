"""How the processes of a run share its steps: ddp, zero1, fsdp, hsdp."""
