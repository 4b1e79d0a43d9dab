"""The core in WebAssembly: the npm package, and the page that needs no server."""
