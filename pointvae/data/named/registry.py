"""The named sets. To add one, add it here: a name, where it is, what is known of it, and how it is laid out."""

from __future__ import annotations

from pointvae.data.named.layouts import read_hdf5, read_modelnet, read_parts, read_resampled, read_scanobjectnn
from pointvae.data.named.sets import Archive, NamedSet
from pointvae.data.named.shapenet import read_shapenetcore

MODELNET = "research only (CAD models: their authors' copyright)"
SHAPENET = "research and education only, not commercial (ShapeNet's terms of use)"
SCANOBJECTNN = "research only (its terms of use, and those of ScanNet and SceneNN)"

WU = "Wu et al., 3D ShapeNets, CVPR 2015"
QI = "Qi et al., PointNet++, NeurIPS 2017, and Wu et al., 3D ShapeNets, CVPR 2015"
YI = "Yi et al., A Scalable Active Framework for Region Annotation, SIGGRAPH Asia 2016"
CHANG = "Chang et al., ShapeNet, arXiv:1512.03012"
UY = "Uy et al., Revisiting Point Cloud Classification, ICCV 2019"

STANFORD = "https://shapenet.cs.stanford.edu/media"  # refuses connections since 2024; kept in case it comes back
HUB = "https://huggingface.co/datasets"

# The figures of splits are those of the releases' own lists. Where an address or a checksum was found is said at
# each; a checksum stands here only if it is published by a project that downloads the same file.

MODELNET10 = Archive(
    "ModelNet10.zip",
    # torch-geometric's by https, that of its examples, and a copy on the Hub
    (
        "https://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "http://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        f"{HUB}/Msun/modelnet10/resolve/main/ModelNet10.zip",
    ),
    # CompressAI, compressai/datasets (ModelNetDataset.HASHES); the same in a Julia package's loader
    sha256="9d8679435fc07d1d26f13009878db164a7aa8ea5e7ea3c8880e42794b7307d51",
)
MODELNET40 = Archive(
    "ModelNet40.zip",
    ("https://modelnet.cs.princeton.edu/ModelNet40.zip", "http://modelnet.cs.princeton.edu/ModelNet40.zip"),
    # CompressAI, and five independent projects that download it
    sha256="42dc3e656932e387f554e25a4eb2cc0e1a1bd3ab54606e2a9eae444c60e536ac",
)
HDF5_2048 = Archive(
    "modelnet40_ply_hdf5_2048.zip",
    # copies on the Hub and of PointMLP, to which many turned when the third, PointNet's own, went down
    (
        f"{HUB}/Msun/modelnet40/resolve/main/modelnet40_ply_hdf5_2048.zip",
        "https://github.com/ma-xu/pointMLP-pytorch/releases/download/Modenet40_dataset/modelnet40_ply_hdf5_2048.zip",
        f"{STANFORD}/modelnet40_ply_hdf5_2048.zip",
    ),
    # TensorFlow Graphics, tensorflow_graphics/datasets/modelnet40/checksums.tsv
    sha256="07670e237db72ece0f723b9abb571534c9ad655a6456b389646587dc72bb8bae",
    bytes=435_212_151,
)
NORMAL_RESAMPLED = Archive(
    "modelnet40_normal_resampled.zip",
    # a copy on the Hub, and PointNet++'s own; no project that was found publishes a checksum
    (
        f"{HUB}/cminst/ModelNet40/resolve/main/modelnet40_normal_resampled.zip",
        f"{STANFORD}/modelnet40_normal_resampled.zip",
    ),
)
PARTS = Archive(
    "shapenetcore_partanno_segmentation_benchmark_v0_normal.zip",
    # a copy on the Hub, and the address of torch-geometric and PointNet++
    (
        f"{HUB}/cminst/ShapeNet/resolve/main/shapenetcore_partanno_segmentation_benchmark_v0_normal.zip",
        f"{STANFORD}/shapenetcore_partanno_segmentation_benchmark_v0_normal.zip",
    ),
    # CompressAI, compressai/datasets (ShapeNetCorePartDataset.HASHES), and two independent projects
    sha256="0e26411700bae2da38ee8ecc719ba4db2e6e0133486e258665952ad5dfced0fe",
)
SCANS = Archive(
    "h5_files.zip",
    ("https://hkust-vgd.ust.hk/scanobjectnn/h5_files.zip",),
    # the MD5 is the one that the same host publishes, as quoted by torch-pointcloud and others; SHA-256 unknown
    md5="36876af479f9ad39abad5ebcd89038dd",
    bytes=13_099_259_542,
)

# File names as in the authors' README: nobg has the objects alone, the others have what stands around them too.
VARIANTS = {
    "obj_only": ("main_split_nobg", "", "objects without background", {"train": 2309, "test": 581}),
    "obj_bg": ("main_split", "", "objects with background", {"train": 2309, "test": 581}),
    "pb_t25": ("main_split", "_augmented25_norot", "boxes moved by 25 %", {}),
    "pb_t25_r": ("main_split", "_augmented25rot", "boxes moved by 25 %, turned", {}),
    "pb_t50_r": ("main_split", "_augmentedrot", "boxes moved by 50 %, turned", {}),
    "pb_t50_rs": (
        *("main_split", "_augmentedrot_scale75", "boxes moved by 50 %, turned and scaled: the hardest"),
        {"train": 11416, "test": 2882},
    ),
}


def _gated(version: str, mesh: str, whole: str, classes: int) -> NamedSet:
    name = f"shapenetcore_v{version}"
    return NamedSet(
        name=name,
        title=f"ShapeNetCore v{version}, meshes",
        classes=classes,
        splits={},
        up="y",
        licence=SHAPENET,
        research_only=True,
        citation=CHANG,
        homepage="https://shapenet.org",
        archive=Archive(f"ShapeNetCore.v{version}.zip"),
        read=read_shapenetcore(mesh),
        steps=(
            f"make an account at huggingface.co and accept ShapeNet's terms at {HUB}/ShapeNet/{whole};",
            f"once you are let in, download ShapeNetCore.v{version}.zip there"
            + (" and unpack it once, leaving the .zip of each category as it is;" if version == "1" else ";"),
            "for the official split also get all.csv and put it beside what you downloaded;",
            f"pointvae prepare {name} DATASET --from_archive " + ("FOLDER" if version == "1" else "PATH"),
        ),
    )


def _scanned(variant: str) -> NamedSet:
    folder, suffix, words, splits = VARIANTS[variant]
    return NamedSet(
        name=f"scanobjectnn_{variant}",
        title=f"ScanObjectNN {variant.upper()}, scans: {words}",
        classes=15,
        splits=splits,
        up="y",  # hkust-vgd/scanobjectnn, issue 33
        licence=SCANOBJECTNN,
        research_only=True,
        citation=UY,
        homepage="https://hkust-vgd.github.io/scanobjectnn",
        archive=SCANS,
        read=read_scanobjectnn(folder, suffix),
    )


SETS: dict[str, NamedSet] = {
    named.name: named
    for named in (
        NamedSet(
            "modelnet10",
            "ModelNet10, meshes",
            10,
            {"train": 3991, "test": 908},
            "z",
            MODELNET,
            True,
            WU,
            "https://modelnet.cs.princeton.edu",
            MODELNET10,
            read_modelnet,
        ),
        NamedSet(
            "modelnet40",
            "ModelNet40, meshes",
            40,
            {"train": 9843, "test": 2468},
            "z",
            MODELNET,
            True,
            WU,
            "https://modelnet.cs.princeton.edu",
            MODELNET40,
            read_modelnet,
        ),
        NamedSet(
            "modelnet40_hdf5_2048",
            "ModelNet40 as PointNet released it, clouds of 2,048 points",
            40,
            {"train": 9840, "test": 2468},
            "y",
            MODELNET,
            True,
            QI,
            "https://github.com/charlesq34/pointnet",
            HDF5_2048,
            read_hdf5,
        ),
        NamedSet(
            "modelnet40_normal_resampled",
            "ModelNet40 as PointNet++ released it, clouds of 10,000 points",
            40,
            {"train": 9843, "test": 2468},
            "y",
            MODELNET,
            True,
            QI,
            "https://github.com/charlesq34/pointnet2",
            NORMAL_RESAMPLED,
            read_resampled,
        ),
        NamedSet(
            "shapenetpart",
            "ShapeNetPart, clouds; the label is the category, not the part",
            16,
            {"train": 12137, "validation": 1870, "test": 2874},
            "y",
            SHAPENET,
            True,
            YI,
            "https://cs.stanford.edu/~ericyi/project_page/part_annotation",
            PARTS,
            read_parts,
        ),
        _gated("1", "model.obj", "ShapeNetCore-archive", 57),
        _gated("2", "models/model_normalized.obj", "ShapeNetCore-archive", 55),
        *map(_scanned, VARIANTS),
    )
}
"""Every named set but the procedural one, which needs no archive."""
