"""Forms of the operations for each platform: ``FORMS`` lists them, ``run`` and ``use_forms`` choose one."""

from alexnet_jax.ops.backends.table import FORMS, PLAIN, forms_of_platform, run, use_forms

__all__ = ["FORMS", "PLAIN", "forms_of_platform", "run", "use_forms"]
