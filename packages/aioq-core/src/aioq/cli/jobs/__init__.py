"""`aioq jobs`: one module per command."""
