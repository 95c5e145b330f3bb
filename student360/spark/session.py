"""The Spark resource: configures one lazy session, local unless a master is set, and reads tables with it.

Starting a session takes seconds, so pyspark is imported only when a session is requested.
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
    """A Spark session on `master`, created on first use. Raises JavaMissing if there is no Java 17 or newer."""

    master: str

    def session(self) -> "SparkSession":
        """Return the session of this process, with the `student360` data source registered."""
        os.environ["JAVA_HOME"] = str(find_java())
        self._lower_priority()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1" if self.master.startswith("local") else "")
        from dagster_pyspark import LazyPySparkResource

        from student360.spark.source import WarehouseSource

        lazy = LazyPySparkResource(spark_config=self._configuration())
        session: SparkSession = lazy.spark_session
        session.dataSource.register(WarehouseSource)
        return session

    def read(self, url: str, table: str, columns: Collection[str] = ()) -> "DataFrame":
        """Return a table or view of the warehouse as a Spark DataFrame, read in parallel by ranges of its key.

        columns: the columns to read; all by default.
        """
        reader = self.session().read.format("student360").option("url", url).option("table", table)
        return reader.option("columns", ",".join(columns)).load()

    def _lower_priority(self) -> None:
        """Give local Spark the lowest CPU priority: it can use every idle core without delaying the ingest of files."""
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
