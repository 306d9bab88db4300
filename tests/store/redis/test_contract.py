"""The contract, on Valkey."""

from tests.store.contract import StoreContract
from tests.store.device_contract import DeviceStoreContract


class TestContract(StoreContract, DeviceStoreContract):
    """What every store promises."""
