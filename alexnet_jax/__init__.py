"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012) as pure functions in JAX and Flax.

``__init__.pyi`` lists the public names. They are imported on first use, so that ``import alexnet_jax`` is fast.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
