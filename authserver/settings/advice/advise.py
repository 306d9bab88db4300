"""Every warning about one configuration."""

from authserver.settings.advice import devices, rules, tables
from authserver.settings.advice.facts import Facts
from authserver.settings.advice.warned import Advice
from authserver.settings.assemble import Settings


def advise(settings: Settings, facts: Facts) -> tuple[Advice, ...]:
    """All warnings about one environment by itself, in the order of their codes."""
    return (
        *rules.recyclable_names(settings),
        *rules.several_workloads(settings),
        *rules.wide_globs(settings),
        *rules.unused_rules(settings),
        *devices.doubtful_attributes(settings),
        *devices.own_words(settings),
        *devices.devices_that_invite(settings),
        *tables.unused_tables(settings),
        *devices.lasting_tokens(settings),
        *tables.unsigned_audiences(settings),
        *tables.certificates_in_headers(settings),
        *tables.exposed_master_keys(settings, facts),
        *tables.times_of_keys(settings, facts),
        *tables.algorithms_of_keys(settings),
        *tables.unfit_for_production(settings),
    )
