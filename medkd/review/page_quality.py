"""How much of a study a page holds: steps of quality, from every voxel to what fits into any page, and which of them is taken."""

from __future__ import annotations

from dataclasses import dataclass

from medkd.review.texts import Said, say


@dataclass(frozen=True)
class Quality:
    """What a page holds.

    Attributes:
        edge: longest edge of a slice of the acquired plane, pixels; larger ones are drawn smaller, each pixel the mean of those it stands for.
        plane_edge: the same of the two other planes, and how many slices each of them has at most along an edge.
        loss: quality of the lossy compression (WebP, 0 to 100); None compresses without loss.
        fine_reach: slices to each side of a key slice that are held in full resolution; None: none are.
        heat_edge: longest edge of a map, pixels.
        heat_reach: slices to each side of a key slice that have maps.
        heat_planes: whether the two other planes have maps too.
    """

    edge: int
    plane_edge: int
    loss: int | None
    fine_reach: int | None
    heat_edge: int
    heat_reach: int
    heat_planes: bool

    def said(self, step: int, shown: tuple[int, int]) -> list[Said]:
        """Return what was left out of a page, in words; nothing where it holds every voxel.

        Args:
            step: voxels along an edge that one pixel of a slice stands for.
            shown: how far apart the slices of the two other planes are, and the voxels that one pixel of a map stands for.
        """
        said = [say("quality.lossy")] if self.loss is not None else []
        if step > 1:
            fine = say("quality.no_fine") if self.fine_reach is None else say("quality.fine", reach=self.fine_reach)
            said += [say("quality.reduced", step=step, fine=fine)]
        if shown[0] > 1:
            said += [say("quality.planes", step=shown[0])]
        if shown[1] > 1:
            said += [say("quality.heat_reduced", step=shown[1])]
        return said


#: From best to least; the first whose page fits is taken. A page that does not fit by the last is refused.
QUALITIES = (
    Quality(edge=4096, plane_edge=4096, loss=None, fine_reach=None, heat_edge=4096, heat_reach=8, heat_planes=True),
    Quality(edge=2048, plane_edge=256, loss=85, fine_reach=None, heat_edge=512, heat_reach=8, heat_planes=True),
    Quality(edge=1024, plane_edge=256, loss=85, fine_reach=8, heat_edge=256, heat_reach=8, heat_planes=True),
    Quality(edge=512, plane_edge=256, loss=85, fine_reach=8, heat_edge=256, heat_reach=8, heat_planes=True),
    Quality(edge=256, plane_edge=256, loss=85, fine_reach=8, heat_edge=256, heat_reach=8, heat_planes=True),
    Quality(edge=256, plane_edge=128, loss=85, fine_reach=8, heat_edge=128, heat_reach=8, heat_planes=True),
    Quality(edge=256, plane_edge=128, loss=70, fine_reach=8, heat_edge=128, heat_reach=8, heat_planes=True),
    Quality(edge=256, plane_edge=128, loss=60, fine_reach=4, heat_edge=96, heat_reach=4, heat_planes=False),
    Quality(edge=192, plane_edge=96, loss=50, fine_reach=2, heat_edge=64, heat_reach=2, heat_planes=False),
    Quality(edge=128, plane_edge=64, loss=40, fine_reach=0, heat_edge=64, heat_reach=0, heat_planes=False),
    Quality(edge=96, plane_edge=48, loss=30, fine_reach=None, heat_edge=48, heat_reach=0, heat_planes=False),
)
