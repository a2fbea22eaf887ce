"""What custom calls cost: XLA calls a library and knows nothing of what it does.

One rule per target, registered by name. A rule that is registered by a user comes before the
ones that stand in this package, which are loaded when the first custom call is priced.
"""

from edgegraph.cost.custom_calls.registry import CustomCall as CustomCall
from edgegraph.cost.custom_calls.registry import price_custom_call as price_custom_call
from edgegraph.cost.custom_calls.registry import register_custom_call as register_custom_call
from edgegraph.cost.custom_calls.registry import why_unpriced as why_unpriced
