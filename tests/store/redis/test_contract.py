"""The contract, on Valkey."""

from tests.store.contract import StoreContract
from tests.store.device_contract import DeviceStoreContract
from tests.store.use_contract import DeviceUseContract


class TestContract(StoreContract, DeviceStoreContract, DeviceUseContract):
    """What every store promises."""
