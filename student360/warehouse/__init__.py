"""The star schema's home: one interface, one engine per database, the ledger and the IO manager."""
