"""A papermill engine that runs a notebook in this process: no kernel to start, no library to import again.

For notebooks that only read records. A notebook that trains gets a process of its own.
"""

from __future__ import annotations

from typing import Any

from ipykernel.inprocess import InProcessKernelManager
from ipykernel.inprocess.ipkernel import InProcessInteractiveShell
from nbformat.v4 import output_from_msg
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines

NAME = "in-process"
OUTPUTS = ("stream", "display_data", "execute_result", "error")


class InProcessEngine(Engine):
    """Each notebook has a fresh shell, and so a namespace of its own."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any) -> None:
        """Run the cells in turn, up to the first that fails."""
        manager = InProcessKernelManager()
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            for index, cell in enumerate(nb_man.nb.cells):
                if cell.cell_type != "code":
                    continue
                nb_man.cell_start(cell, index)
                client.execute(cell.source)
                cell.outputs, cell.execution_count = outputs(client)
                if any(output.output_type == "error" for output in cell.outputs):
                    nb_man.cell_exception(cell, index)
                    break  # papermill makes an error of it
                nb_man.cell_complete(cell, index)
        finally:
            InProcessInteractiveShell.instance().restore_sys_module_state()  # it stands in for __main__
            client.stop_channels()
            manager.shutdown_kernel()
            InProcessInteractiveShell.clear_instance()


def outputs(client: Any) -> tuple[list[Any], int | None]:
    """What the last cell left in its channels, as a notebook keeps it, and its number."""
    reply = client.get_shell_msg()["content"]
    client.kernel.stdout.flush()
    client.kernel.stderr.flush()
    found: list[Any] = []
    for message in client.iopub_channel.get_msgs():
        if message["msg_type"] in OUTPUTS:
            output = output_from_msg(message)
            if output.output_type == "stream" and found and found[-1].get("name") == output.name:
                found[-1].text += output.text
            else:
                found.append(output)
    return found, reply.get("execution_count")


papermill_engines.register(NAME, InProcessEngine)
