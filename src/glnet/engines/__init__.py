"""Engines: one scene in, class scores out. The PyTorch one is `glnet.engines.torch_engine`."""
