"""The weights as sympy matrices with named rows and columns, and logits as exact expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handcraft.circuits import ideal_logits
from handcraft.circuits.number import Plain
from handcraft.display import short_repr
from handcraft.errors import ModelError
from handcraft.weights import PlacedTensor, Placement, Plan, place_circuits

if TYPE_CHECKING:
    import sympy


@short_repr
@dataclass(frozen=True, eq=False)
class NamedMatrix:
    """A sympy matrix whose rows and columns have names.

    Args:
        rows: what each row stands for.
        columns: what each column stands for; a bias has the one column ``bias``.
        matrix: the numbers and symbols.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    matrix: sympy.Matrix

    def entries(self) -> dict[tuple[str, str], sympy.Expr]:
        """The entries that are not 0, by row and column."""
        return {
            (self.rows[i], self.columns[j]): value
            for (i, j), value in sorted(self.matrix.todok().items(), key=lambda entry: entry[0])
        }

    def __str__(self) -> str:
        found = self.entries()
        if not found:
            return "all 0"
        width = max(len(row) for row, _ in found)
        return "\n".join(f"{row:<{width}} -> {column}: {v}" for (row, column), v in found.items())

    def _repr_latex_(self) -> str:
        """The matrix, for notebooks."""
        import sympy

        return f"$\\displaystyle {sympy.latex(self.matrix)}$"


@short_repr
@dataclass(frozen=True, eq=False)
class Symbolic:
    """A compiled model with every number exact.

    Heads without a sharpness of their own have the symbol `sharpness` in W_Q.

    Args:
        plan: the dimensions of every subspace, and what is computed.
        placement: the exact weights.
        sharpness: the symbol.
        values: what each symbol stands for in the emitted weights, by its name.
    """

    plan: Plan
    placement: Placement
    sharpness: sympy.Symbol
    values: dict[str, Plain]

    @classmethod
    def of(cls, plan: Plan, sharpness: int) -> Symbolic:
        """The symbolic form of a model whose open sharpness is emitted as `sharpness`."""
        import sympy

        circuits = plan.circuits

        name = "L" if "L" not in circuits.values else "L_open"
        symbol = sympy.Symbol(name, positive=True)
        placement = place_circuits(plan, symbol)
        open_heads = any(h.sharpness is None for b in circuits.blocks for h in b.heads)
        values = {**circuits.values, name: sharpness} if open_heads else dict(circuits.values)
        return cls(plan, placement, symbol, values)

    def tensor(self, name: str) -> NamedMatrix:
        """One tensor, by its checkpoint name.

        Raises:
            ModelError: there is no such tensor.
        """
        import sympy

        placed = self._placed(name)
        rows, columns = placed.axes if len(placed.axes) == 2 else (*placed.axes, ("bias",))
        entries = {(*index, 0)[:2]: sympy.sympify(n) for index, n in placed.values.items()}
        return NamedMatrix(rows, columns, sympy.SparseMatrix(len(rows), len(columns), entries))

    def c_attn(self, block: int = 0) -> NamedMatrix:
        """W_Q, W_K and W_V of a block side by side: [n_embd, 3 n_embd]."""
        return self.tensor(f"h.{block}.attn.c_attn.weight")

    def c_proj(self, block: int = 0) -> NamedMatrix:
        """W_O of all heads of a block, one below the other: [n_embd, n_embd]."""
        return self.tensor(f"h.{block}.attn.c_proj.weight")

    def logits(self, context: str | Sequence[str], *, attention: str = "soft") -> dict[str, sympy.Expr]:
        """The logits that follow a context, as exact expressions in the symbols.

        Args:
            context: text or tokens, at most as many as the model has positions.
            attention: ``soft`` for softmax as the weights have it, or ``hard`` for its limit as the
                sharpness grows.

        Returns:
            For each token its logit.

        Raises:
            ModelError: the context is empty or too long, or there is no such attention.
        """
        ids = self.plan.circuits.vocabulary.ids(context)
        if not 1 <= len(ids) <= self.plan.circuits.context:
            raise ModelError(
                f"a context of {len(ids)} tokens",
                fix=f"give 1 to {self.plan.circuits.context} tokens",
            )
        if attention not in ("soft", "hard"):
            raise ModelError(f"there is no {attention!r} attention", fix="use soft or hard")
        row = self._soft(ids) if attention == "soft" else self._hard(ids)
        return dict(zip(self.plan.circuits.vocabulary.tokens, row, strict=True))

    def _hard(self, ids: Sequence[int]) -> list[sympy.Expr]:
        import sympy

        return [sympy.sympify(n) for n in ideal_logits(self.plan.circuits, [ids])[0, -1]]

    def _soft(self, ids: Sequence[int]) -> list[sympy.Expr]:
        """The forward pass of the architecture, in sympy: x is [position, n_embd]."""
        import sympy

        if self.plan.has_norm:
            raise ModelError(
                "the formula of logits with softmax and a norm is too long to read",
                fix='compile for the architecture block, or use attention="hard"',
            )
        wte, wpe = self.tensor("wte.weight").matrix, self.tensor("wpe.weight").matrix
        x = sympy.Matrix([wte.row(t) + wpe.row(i) for i, t in enumerate(ids)])
        for block in range(len(self.plan.circuits.blocks)):
            x = x + self._attention(block, x)
            if f"h.{block}.mlp.c_fc.weight" in self.placement.tensors:
                hidden = self._linear(f"h.{block}.mlp.c_fc", x)
                x = x + self._linear(f"h.{block}.mlp.c_proj", hidden.applyfunc(_relu))
        return [sympy.simplify(logit) for logit in x.row(-1) * wte.T]

    def _attention(self, block: int, x: sympy.Matrix) -> sympy.Matrix:
        import sympy

        width, head_dim = self.plan.layout.n_embd, self.plan.layout.head_dim
        qkv = self._linear(f"h.{block}.attn.c_attn", x)  # [position, 3 n_embd]
        outputs = []
        for first in range(0, width, head_dim):
            q, k, v = (
                qkv[:, part * width + first : part * width + first + head_dim] for part in range(3)
            )
            scores = q * k.T / sympy.sqrt(head_dim)  # [destination, source]
            rows = []
            for here in range(x.rows):
                weights = [sympy.exp(scores[here, there]) for there in range(here + 1)]
                pattern = sympy.Matrix([[w / sum(weights) for w in weights]])
                rows.append(pattern * v[: here + 1, :])
            outputs.append(sympy.Matrix.vstack(*rows))
        return self._linear(f"h.{block}.attn.c_proj", sympy.Matrix.hstack(*outputs))

    def _linear(self, name: str, x: sympy.Matrix) -> sympy.Matrix:
        import sympy

        bias = self.tensor(f"{name}.bias").matrix.T  # [1, out]
        ones = sympy.ones(x.rows, 1)
        return x * self.tensor(f"{name}.weight").matrix + ones * bias

    def _placed(self, name: str) -> PlacedTensor:
        try:
            return self.placement.tensors[name]
        except KeyError:
            known = ", ".join(self.placement.tensors)
            raise ModelError(f"there is no tensor {name!r}", fix=f"there are: {known}") from None


def _relu(x: sympy.Expr) -> sympy.Expr:
    import sympy

    return sympy.Max(0, x)
