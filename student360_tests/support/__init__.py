"""What tests, benchmarks and the fault harness share: installations, servers, canaries."""
