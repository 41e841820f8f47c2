"""Settings of the process are set back after trainings."""

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def _settings():
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)  # tests compare on the processor
        yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
