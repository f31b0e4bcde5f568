"""A papermill engine that runs a notebook in this process: no kernel to start, no library to import again.

For notebooks that only read records. A notebook that trains gets a process of its own.
"""

from __future__ import annotations

from typing import Any

from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat.v4 import new_output
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from traitlets.config import Config

NAME = "in-process"


class InProcessEngine(Engine):
    """Each notebook has a fresh shell, and so a namespace of its own."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any) -> None:
        """Run the cells in turn, up to the first that fails."""
        shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
        publisher = shell.display_pub = CapturingDisplayPublisher()
        shell.display_trap.hook = CapturingDisplayHook(shell, publisher.outputs)
        try:
            for index, cell in enumerate(nb_man.nb.cells):
                if cell.cell_type != "code":
                    continue
                nb_man.cell_start(cell, index)
                with capture_output(display=False) as printed:
                    done = shell.run_cell(cell.source, store_history=True)
                streams = {"stdout": printed.stdout, "stderr": printed.stderr}
                cell.outputs = [new_output("stream", name=name, text=text) for name, text in streams.items() if text]
                for output in publisher.outputs:
                    cell.outputs.append(new_output("display_data", output["data"], metadata=output["metadata"]))
                publisher.outputs.clear()
                if error := done.error_before_exec or done.error_in_exec:
                    cell.outputs.append(new_output("error", ename=type(error).__name__, evalue=str(error)))
                    nb_man.cell_exception(cell, index)
                    break  # papermill makes an error of it
                nb_man.cell_complete(cell, index)
        finally:
            shell.restore_sys_module_state()  # it stands in for __main__
            InteractiveShell.clear_instance()


papermill_engines.register(NAME, InProcessEngine)
