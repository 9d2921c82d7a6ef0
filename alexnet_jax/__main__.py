"""The ``alexnet`` command: runs a subcommand and prints errors in one line. Its help imports no heavy package."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from typing import NoReturn

from alexnet_jax import __version__
from alexnet_jax.errors import AlexNetError, UsageError, unknown_name
from alexnet_jax.jax_errors import explain
from alexnet_jax.output import standard_streams
from alexnet_jax.runtime import keep_freed_memory, use_compile_cache
from alexnet_jax.signals import exit_on_interrupt, ignore_stop_signals

COMMANDS = {
    "train": "train a net, or resume a run",
    "sweep": "train several nets with different options and seeds, and compare them",
    "evaluate": "measure the errors of a trained net on a whole split",
    "prepare": "make a data set of small images from ImageNet's tars, a folder or TFDS",
    "predict": "print the most probable classes of images",
    "features": "read the features of many images out of a net",
    "similarity": "compare the features of two nets, layer by layer",
    "nearest": "find the images of a data set that are nearest to some images",
    "lpips": "measure the perceptual distance of images",
    "convert": "convert weights of PyTorch, Caffe or a run to safetensors",
    "export": "export a trained net to ONNX or StableHLO",
    "bench": "time a net or the input pipeline, and compare with other programs",
    "variants": "list the named nets with their sizes",
    "plan": "estimate what training on TPUs costs, with their compiler and without a TPU",
    "summary": "identify a net, and print its layers with shapes, parameters and MACs",
    "report": "write a web page that shows what a run learned",
    "completion": "print a script that completes options in bash, zsh, fish or tcsh",
}


_STATUS_OF_SIGNAL = 128
"""The exit status after a signal is this number plus that of the signal."""
_WRITERS = ("train", "sweep", "prepare", "features", "convert", "export", "report")
"""The commands whose results are files. They do not need their output."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    parser = _Parser(
        prog="alexnet",
        description="AlexNet, trained across two devices as in 2012.",
        epilog=f"commands:\n{commands}\n\n`alexnet COMMAND --help` shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"alexnet {__version__}")
    parser.add_argument(
        "--debug", action="store_true", help="print the traceback of an error; works with every command"
    )
    parser.add_argument("command", metavar="COMMAND", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _run(arguments: list[str]) -> int:
    with exit_on_interrupt():
        parsed = _parser().parse_args(arguments)
        if parsed.command is None:
            _parser().print_help()
            return 0
        if parsed.command not in COMMANDS:
            raise unknown_name("command", parsed.command, COMMANDS)
        _refuse_empty_words(parsed.command, parsed.rest)
        keep_freed_memory()
        use_compile_cache()
        command = importlib.import_module(f"alexnet_jax.commands.{parsed.command}")
    return command.main(parsed.rest)


def _refuse_empty_words(command: str, words: list[str]) -> None:
    """Refuses empty arguments. One from an unset shell variable would mean the default or this directory."""
    for before, word in zip([command, *words], words, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):
            raise UsageError(f"the value after {word or before} is empty; give a value, or leave it out")


def main() -> NoReturn:
    """Runs the command in ``sys.argv`` and exits.

    The status is 0 for success, 2 for usage errors, 1 for other errors and 128 + n for signal n.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if not debug:
        sys.unraisablehook = _hide_closed_event_loops
        # of Orbax, after a damaged checkpoint, which has been reported already
        warnings.filterwarnings("ignore", r"coroutine '.*' was never awaited", RuntimeWarning)
    try:
        with standard_streams(is_tolerant=arguments[:1] in ([name] for name in _WRITERS)):
            status = _run(arguments)
        if status > _STATUS_OF_SIGNAL:
            ignore_stop_signals()
        _exit(status)
    except KeyboardInterrupt:
        print("alexnet: interrupted", file=sys.stderr, flush=True)
        os._exit(130)  # threads of XLA may be compiling: exit without destroying what they use
    except BrokenPipeError:
        _exit(1)  # the program that reads the output has exited
    except Exception as error:
        if debug:
            raise
        error = explain(error)
        print(f"alexnet: error: {_one_line(error)}", file=sys.stderr)
        _exit(error.exit_status if isinstance(error, AlexNetError) else 1)


def _exit(status: int) -> NoReturn:
    """At the exit after an error, JAX would wait for the other processes of a run, which may have failed as well."""
    distributed = sys.modules.get("jax._src.distributed")
    if distributed is not None and distributed.global_state.client is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _hide_closed_event_loops(raised: sys.UnraisableHookArgs) -> None:
    """Reports what Python cannot raise, except that a reader of Orbax found its event loop closed.

    That happens after a damaged checkpoint, which has been reported already.
    """
    if not (isinstance(raised.exc_value, RuntimeError) and str(raised.exc_value) == "Event loop is closed"):
        sys.__unraisablehook__(raised)


def _one_line(error: Exception) -> str:
    if isinstance(error, AlexNetError):
        return " ".join(str(error).split())
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        return text
    return f"{type(error).__name__}: {text[:300]} (--debug prints the traceback)"


if __name__ == "__main__":
    main()
