"""The Spark resource: one lazy session, on the user's own machine unless a master is set.

Belongs here: how a session is configured and how a table is read through it. Does not belong here: what is
computed (`aggregates.py`). A session costs seconds, so that nothing here imports pyspark before it is asked to.
"""

import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster import ConfigurableResource

from student360.spark.java import find_java

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Spark(ConfigurableResource):
    """A Spark session on `master`, made when it is first used. Raises JavaMissing where there is no Java 17+."""

    master: str

    def session(self) -> "SparkSession":
        """The session of this process, with our data source registered."""
        os.environ["JAVA_HOME"] = str(find_java())
        self._give_way()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1" if self.master.startswith("local") else "")
        from dagster_pyspark import LazyPySparkResource

        from student360.spark.source import WarehouseSource

        lazy = LazyPySparkResource(spark_config=self._configuration())
        session: SparkSession = lazy.spark_session
        session.dataSource.register(WarehouseSource)
        return session

    def read(self, url: str, table: str, columns: Collection[str] = ()) -> "DataFrame":
        """A table or view of the warehouse (or some columns) as a Spark DataFrame, read in parallel by ranges of its
        key."""
        reader = self.session().read.format("student360").option("url", url).option("table", table)
        return reader.option("columns", ",".join(columns)).load()

    def _give_way(self) -> None:
        """Local Spark takes the lowest priority: it may use every idle core, and never delays a file."""
        if self.master.startswith("local"):
            os.nice(19)

    def _configuration(self) -> dict[str, str]:
        settings = {
            "spark.master": self.master,
            "spark.app.name": "student360",
            "spark.log.level": "ERROR",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": "8",
            "spark.sql.session.timeZone": "UTC",
            "spark.python.worker.reuse": "true",
        }
        if self.master.startswith("local"):
            settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        return settings
