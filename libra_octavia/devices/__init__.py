"""The devices that serve load balancers: from the pool manager, driven by the amphora API.

`serve` is the story of one load balancer; `building`, `plugging` and `pushing` are its chapters.
`pool` and `api` speak to the pool manager and to a device, `certificates` says who trusts whom,
`upkeep` does what nobody asks for, and `opening` puts all of it together. `wishes` is pure.

Each load balancer has one device (topology SINGLE). Where there are to be two, or spare ones, they
are further rows of the inventory: `serve.PoolDevices` alone says which of them do what.
"""
