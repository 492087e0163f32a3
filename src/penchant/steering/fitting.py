"""Choosing layer, strength and weights of a method by themselves: on held-out answers of other users.

"No effect or gibberish" is what users of steering tools report most; both come from a layer and a strength that were
guessed. Here every choice is tried on answers whose own sample is left out, and lengths are capped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.lens.activations import pooled_activations
from penchant.models.loading import LoadedModel
from penchant.models.sites import Site
from penchant.steering.aggregation import Aggregation
from penchant.steering.bank import Bank, drop
from penchant.steering.intervention import Edit, Intervention
from penchant.steering.likelihood import Choice, losses
from penchant.steering.methods.method import VectorMethod
from penchant.steering.population import population_of
from penchant.steering.reading import Reader, Sample, Wording, exchange_of
from penchant.steering.setting import Effect, Setting
from penchant.steering.similarity import hidden_scores
from penchant.steering.vectors import default_key

SCOPE = "last_1"
"""From the prompt's last token on, where the answer's first one is predicted: on SmolLM2 that doubles the gain of
steering behind the prompt only, and of a cached prefix only that one token is read again."""
CAP = 0.5
"""Longest vector, as a share of the residual stream's length: beyond it models speak gibberish."""
BASES = (0.05, 0.1, 0.15)
"""Lengths of the population's step that are tried, as shares of the residual stream's."""
PER_USER = 3
"""Held-out answers of each user that decide."""

Progress = Callable[[str, int, int], None]
"""(what is done, done, to do)."""


@dataclass(frozen=True)
class Group:
    """Users to fit on: their samples, and which of them are held out in turn."""

    loaded: LoadedModel
    method: VectorMethod
    wording: Wording
    samples: Mapping[str, Sequence[Sample]]
    scope: str = SCOPE
    per_user: int = PER_USER
    progress: Progress = lambda what, done, total: None

    def reader(self, base: Intervention | None, what: str) -> Reader:
        total = sum(map(len, self.samples.values()))
        done = [0]

        def step(count: int) -> None:
            done[0] += count
            self.progress(what, done[0], total)

        key = default_key(self.loaded)
        reading = self.method.reading
        return Reader(self.loaded, self.wording, reading, key, self.scope, base, self.samples, step)

    def held_out(self) -> list[tuple[str, int]]:
        """(user, number of the sample), evenly spread over each user's."""
        found = []
        for user, some in self.samples.items():
            count = min(self.per_user, len(some))
            found += [(user, (2 * place + 1) * len(some) // (2 * count)) for place in range(count)]
        return found

    def gains(self, places: Sequence[tuple[str, int]], choices: Sequence[Choice]) -> list[tuple[float, float]]:
        """Of each choice the mean gain over users, nats a token, and its standard error."""
        exchanges = [exchange_of(self.loaded, self.samples[user][number], self.wording) for user, number in places]
        done = [0]

        def step(count: int) -> None:
            done[0] += count
            self.progress("trying", done[0], len(exchanges))

        found = losses(self.loaded, exchanges, [lambda rows: None, *choices], done=step)
        users = [user for user, _ in places]
        return [over_users(found[0] - row, users) for row in found[1:]]


def over_users(gains: Float[Tensor, " answers"], users: Sequence[str]) -> tuple[float, float]:
    """The mean over users of each one's mean, and its standard error (infinite for one user)."""
    means = torch.stack(
        [gains[torch.tensor([one == user for one in users])].mean() for user in dict.fromkeys(users)]
    ).double()
    error = float(means.std() / len(means) ** 0.5) if len(means) > 1 else float("inf")
    return float(means.mean()), error


def fit_setting(
    loaded: LoadedModel,
    method: VectorMethod,
    samples: Mapping[str, Sequence[Sample]],
    wording: Wording,
    *,
    scope: str = SCOPE,
    per_user: int = PER_USER,
    progress: Progress = lambda what, done, total: None,
) -> Setting:
    """The setting of a method under which held-out answers of these users become likeliest.

    samples: user -> contrasts, or pairs for a method that reads gradients. Of a single user everything is chosen on
    that user's own samples, and there is no population. A strength of 0 is what comes out when nothing helps.

    Raises `InputError` for no user with at least two samples.
    """
    usable = {user: list(some) for user, some in sorted(samples.items()) if len(some) >= 2}
    if not usable:
        raise InputError("no user with at least two samples to fit steering on: import records with a text and a reply")
    group = Group(loaded, method, wording, usable, scope, per_user, progress)
    layers = sorted({round(share * (loaded.num_layers - 1)) for share in method.layers})
    norms = residual_norms(group, layers)
    if not method.population:
        return _differences(group, layers, norms)
    return _ascent(group, layers, norms)


def residual_norms(group: Group, layers: Sequence[int]) -> dict[int, float]:
    """Length of the residual stream behind each layer: of its mean over an answer's tokens, averaged over users."""
    sites = [Site(layer, "block") for layer in layers]
    found = []
    for some in list(group.samples.values())[:16]:
        one = exchange_of(group.loaded, some[0], group.wording)
        ids = torch.tensor([[*one.prompt, *one.answer]])
        weights = torch.zeros(1, ids.shape[1])
        weights[0, len(one.prompt) :] = 1 / len(one.answer)
        read = pooled_activations(group.loaded, ids, weights, sites)
        found.append(torch.stack([read[site].norm().cpu() for site in sites]))
    return dict(zip(layers, torch.stack(found).mean(0).tolist(), strict=True))


def left_out(
    banks: Mapping[str, Bank], places: Sequence[tuple[str, int]], setting: Setting, *, alone: bool = False
) -> Intervention:
    """For each (user, number) what the user's other samples give for that sample's input, a row each.

    alone: the population of a user leaves the user out (it is worked out anew from `banks`).
    """
    scores, rest = [], []
    population = population_of(banks) if alone and len(banks) > 1 else None
    users = [user for user, _ in places]
    centre = population.centres_without(users) if population else None
    for place, (user, number) in enumerate(places):
        bank = banks[user]
        others = drop(bank, contrasts=[bank.rows[number].contrast])
        rest.append(others)
        scores.append(hidden_scores(others, bank.keys[number], setting.centre if centre is None else centre[place]))
    if population is None:
        return setting.apply(rest, scores)[0]
    rows = []
    for place, common in enumerate(_rows(population.without(users))):
        rows.append(replace(setting, population=common).apply([rest[place]], [scores[place]])[0])
    return _stacked(rows)


def _rows(table: Mapping[Site, Tensor]) -> list[dict[Site, Tensor]]:
    return [{site: rows[place] for site, rows in table.items()} for place in range(len(next(iter(table.values()))))]


def _stacked(rows: Sequence[Intervention]) -> Intervention:
    edits = {}
    for site in rows[0].edits:
        adds = [row.edits[site].add for row in rows]
        edits[site] = Edit(torch.cat([add for add in adds if add is not None]))
    return Intervention(edits, rows[0].scope)


def picked(intervention: Intervention) -> Choice:
    """A choice among the rows of an intervention by the number of the exchange."""

    def choice(numbers: Sequence[int]) -> Intervention:
        at = torch.tensor(list(numbers))
        edits = {
            site: Edit(None if edit.add is None else edit.add[at], None if edit.scale is None else edit.scale[at])
            for site, edit in intervention.edits.items()
        }
        return Intervention(edits, intervention.scope)

    return choice


def _setting(group: Group, layer: int, norm: float, centre: Tensor) -> Setting:
    sites = tuple(sorted(Site(layer, kind) for kind in group.method.kinds))
    loaded, method = group.loaded, group.method
    return Setting(
        method.name,
        loaded.fingerprint,
        loaded.name,
        method.reading,
        sites,
        default_key(loaded),
        group.scope,
        0.0,
        method.aggregations[0],
        centre,
        dict.fromkeys(sites, CAP * norm),
        users=len(group.samples),
        pairs=sum(map(len, group.samples.values())),
    )


def _differences(group: Group, layers: Sequence[int], norms: Mapping[int, float]) -> Setting:
    """Layer, strength and weights of a method whose vectors are differences of activations."""
    kinds = group.method.kinds
    everywhere = [Site(layer, kind) for layer in layers for kind in kinds]
    reader = group.reader(None, "reading")
    banks = {
        user: reader.bank(user, some, everywhere, group.loaded.fingerprint) for user, some in group.samples.items()
    }
    centre = torch.cat([bank.keys for bank in banks.values()]).mean(0)
    tried: list[tuple[Setting, Choice, Effect]] = []
    places = group.held_out()
    for layer in layers:
        blank = _setting(group, layer, norms[layer], centre)
        here = {
            user: replace(bank, vectors={site: bank.vectors[site] for site in blank.sites})
            for user, bank in banks.items()
        }
        for aggregation in group.method.aggregations:
            for strength in group.method.strengths:
                setting = replace(blank, strength=strength, aggregation=aggregation)
                effect = Effect(layer, strength, "own", described(aggregation), 0.0, 0.0)
                tried.append((setting, picked(left_out(here, places, setting)), effect))
    return _best(group, places, tried, tried[0][0])


def _ascent(group: Group, layers: Sequence[int], norms: Mapping[int, float]) -> Setting:
    """First where the population stands, then how far each user goes from there."""
    users = list(group.samples)
    fold = {user: number % 2 for number, user in enumerate(users)}
    places = group.held_out()
    reader = group.reader(None, "gradients")
    sites = [Site(layer, kind) for layer in layers for kind in group.method.kinds]
    banks = {user: reader.bank(user, some, sites, group.loaded.fingerprint) for user, some in group.samples.items()}
    centre = torch.cat([bank.keys for bank in banks.values()]).mean(0)
    steps = {site: _directions(banks, fold, site) for site in sites}
    effects: list[Effect] = []
    layer, base, everyone = layers[len(layers) // 2], {}, {}
    if len(users) > 1:
        grid = [(layer, length) for layer in layers for length in BASES]
        bases = [_bases(steps, layer, length * norms[layer], group.method.kinds) for layer, length in grid]
        folds = [fold[user] for user, _ in places]
        choices = [picked(_by_fold(one, folds, group.scope)) for one in bases]
        found = group.gains(places, choices)
        for (at, length), (gain, error) in zip(grid, found, strict=True):
            effects.append(Effect(at, length, "population", "", gain, error))
        best = max(range(len(grid)), key=lambda number: found[number][0])
        layer = grid[best][0]
        if found[best][0] > 0:
            base = bases[best]
            everyone = {site: rows[2] for site, rows in base.items()}
    blank = replace(_setting(group, layer, norms[layer], centre), base=everyone)
    banks = {}
    for number in (0, 1):
        half = {site: Edit(rows[number][None]) for site, rows in base.items()}
        reader = group.reader(Intervention(half, group.scope) if half else None, "gradients from there")
        some = [user for user in users if fold[user] == number]
        # Read from the other half's base, but of the same origin: what is chosen here holds for the base of all.
        banks |= {user: reader.bank(user, group.samples[user], blank.sites, blank.origin) for user in some}
    size = _typical(banks)
    population = population_of(banks).mean() if len(users) > 1 else {}
    blank = replace(blank, population=population)
    tried: list[tuple[Setting, Choice, Effect]] = []
    for aggregation in group.method.aggregations:
        for length in group.method.strengths:
            setting = replace(blank, strength=length * norms[layer] / size, aggregation=aggregation)
            effect = Effect(layer, length, "own", described(aggregation), 0.0, 0.0)
            tried.append((setting, picked(left_out(banks, places, setting, alone=True)), effect))
    chosen = _best(group, places, tried, blank)
    return replace(chosen, effects=(*effects, *chosen.effects))


def _directions(banks: Mapping[str, Bank], fold: Mapping[str, int], site: Site) -> Float[Tensor, "3 width"]:
    """Unit steps: of the users outside of fold 0, outside of fold 1, and of all."""
    means = {user: bank.vectors[site].mean(0) for user, bank in banks.items()}
    rows = []
    for left in (0, 1, None):
        some = [mean for user, mean in means.items() if fold[user] != left] or list(means.values())
        rows.append(torch.stack(some).mean(0))
    table = torch.stack(rows)
    lengths: Tensor = table.norm(dim=1, keepdim=True)
    return table / lengths.clamp(min=1e-12)


def _bases(
    steps: Mapping[Site, Tensor], layer: int, length: float, kinds: Sequence[str]
) -> dict[Site, Float[Tensor, "3 width"]]:
    share = len(kinds) ** -0.5
    return {site: rows * length * share for site, rows in steps.items() if site.layer == layer}


def _by_fold(base: Mapping[Site, Tensor], folds: Sequence[int], scope: str) -> Intervention:
    at = torch.tensor(list(folds))
    return Intervention({site: Edit(rows[at]) for site, rows in base.items()}, scope)


def _typical(banks: Mapping[str, Bank]) -> float:
    """Length of a user's mean vector over all sites, averaged over users."""
    found = [torch.cat([table.mean(0) for _, table in sorted(bank.vectors.items())]).norm() for bank in banks.values()]
    return max(float(torch.stack(found).mean()), 1e-12)


def _best(
    group: Group,
    places: Sequence[tuple[str, int]],
    tried: Sequence[tuple[Setting, Choice, Effect]],
    none: Setting,
) -> Setting:
    found = group.gains(places, [choice for _, choice, _ in tried])
    effects = tuple(
        replace(effect, gain=gain, error=error) for (_, _, effect), (gain, error) in zip(tried, found, strict=True)
    )
    best = max(range(len(tried)), key=lambda number: found[number][0])
    if found[best][0] <= 0:
        return replace(none, strength=0.0, effects=effects)
    return replace(tried[best][0], effects=effects)


def described(aggregation: Aggregation) -> str:
    """An aggregation in a few words."""
    top = "all" if aggregation.top is None else f"top {aggregation.top}"
    weights = aggregation.weights if aggregation.weights == "uniform" else f"softmax {aggregation.temperature:g}"
    shrunk = f", shrunk by {aggregation.shrinkage:g}" if aggregation.shrinkage else ""
    return f"{top}, {weights}{shrunk}"
