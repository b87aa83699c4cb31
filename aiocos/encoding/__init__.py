"""How values reach the wire and come back: addresses, headers, XML, digests."""
