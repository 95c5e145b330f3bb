"""How the files of a raw asset reach its staging asset: landing files to pandas chunks.

Belongs here: this hand-over. Does not belong here: reading and typing the files (`stage.py`).
"""

from dagster import ConfigurableIOManager, InputContext, OutputContext, ResourceDependency

from student360.contracts import contracts
from student360.loading.stage import ClaimedFiles
from student360.settings import load_settings
from student360.warehouse.warehouse import Warehouse


class ClaimedFilesIOManager(ConfigurableIOManager):
    """Hands on the claimed files of a raw asset as chunks of typed rows; the files themselves are the storage."""

    warehouse: ResourceDependency[Warehouse]

    def handle_output(self, context: OutputContext, obj: None) -> None:
        """Nothing to store: the raw step has entered the files in the ledger."""

    def load_input(self, context: InputContext) -> ClaimedFiles:
        feed = context.asset_key.path[-1].removeprefix("raw_")
        return ClaimedFiles(contracts()[feed], self.warehouse, load_settings(), context.step_context.run_id)
