"""What others have published of the zoo's networks: the one table that ours are checked against.

One fused multiply-add is one MAC. Convolutions and matrix products count, at batch 1. A
convolution's MACs include those whose input is padding; its valid-tap MACs, which XLA counts, do
not. Sources round; the exact figures here follow from the layers that the sources describe.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is published of one network.

    Attributes:
        spec: Where the zoo has it, ``package.module:function``.
        input_shape: Shape of one example, without the batch.
        params: Trainable parameters.
        macs: Multiply-accumulates of one example, padding counted.
        valid_tap_macs: The same without padding; None where they are equal.
        figures: The figures as the source writes them.
        source: Where they are published.
    """

    spec: str
    input_shape: tuple[int, ...]
    params: int
    macs: int
    valid_tap_macs: int | None = None
    figures: str
    source: str


_IMAGE = (224, 224, 3)
_BY_HAND = "layer arithmetic by hand"

NETWORKS = (
    Published(
        spec="models.cnn:small_cnn",
        input_shape=(28, 28, 1),
        params=824_458,
        macs=4_643_840,
        valid_tap_macs=4_297_344,
        figures="",
        source=_BY_HAND,
    ),
    Published(
        spec="models.mlp:mlp",
        input_shape=(784,),
        params=669_706,
        macs=668_672,
        figures="",
        source=_BY_HAND,
    ),
    Published(
        spec="models.lenet:lenet5",
        input_shape=(32, 32, 1),
        params=61_706,
        macs=416_520,
        figures="",
        source=f"{_BY_HAND}, of LeCun et al. 1998 with all channels connected in C3",
    ),
    Published(
        spec="models.alexnet:alexnet",
        input_shape=_IMAGE,
        params=60_965_224,
        macs=724_406_816,
        valid_tap_macs=670_279_808,
        figures="61M, 724M MACs",
        source="MIT 6.5940 EfficientML, lecture 2",
    ),
    Published(
        spec="models.alexnet:alexnet_torchvision",
        input_shape=_IMAGE,
        params=61_100_840,
        macs=714_188_480,
        valid_tap_macs=657_918_720,
        figures="61,100,840, 0.714G",
        source="torchvision AlexNet_Weights",
    ),
    Published(
        spec="models.vgg:vgg16",
        input_shape=_IMAGE,
        params=138_357_544,
        macs=15_470_264_320,
        valid_tap_macs=14_969_824_000,
        figures="138,357,544, 15.47G",
        source="torchvision VGG16_Weights",
    ),
    Published(
        spec="models.vgg:vgg_lab",
        input_shape=(32, 32, 3),
        params=9_228_362,
        macs=605_754_368,
        valid_tap_macs=524_842_752,
        figures="9.23M, 606M MACs, 35.20 MiB",
        source="MIT 6.5940 EfficientML, lab 1",
    ),
    Published(
        spec="models.resnet:resnet18",
        input_shape=_IMAGE,
        params=11_689_512,
        macs=1_814_073_344,
        valid_tap_macs=1_680_390_912,
        figures="11,689,512, 1.814G",
        source="torchvision ResNet18_Weights",
    ),
    Published(
        spec="models.resnet:resnet50",
        input_shape=_IMAGE,
        params=25_557_032,
        macs=4_089_184_256,
        valid_tap_macs=3_948_251_904,
        figures="25,557,032, 4.089G",
        source="torchvision ResNet50_Weights",
    ),
    Published(
        spec="models.mobilenet:mobilenet_v1",
        input_shape=_IMAGE,
        params=4_231_976,
        macs=568_740_352,
        valid_tap_macs=567_875_744,
        figures="4.2M, 569M MACs",
        source="Howard et al. 2017, table 4",
    ),
    Published(
        spec="models.mobilenet:mobilenet_v2",
        input_shape=_IMAGE,
        params=3_504_872,
        macs=300_774_272,
        valid_tap_macs=299_676_304,
        figures="3,504,872, 0.301G; Sandler et al. 2018: 3.4M, 300M MACs",
        source="torchvision MobileNet_V2_Weights",
    ),
    Published(
        spec="models.efficientnet:efficientnet_b0",
        input_shape=_IMAGE,
        params=5_288_548,
        macs=385_814_752,
        valid_tap_macs=381_866_688,
        figures="5,288,548, 0.386G",
        source="torchvision EfficientNet_B0_Weights",
    ),
    Published(
        spec="models.mixer:mixer_s16",
        input_shape=_IMAGE,
        params=18_528_264,
        macs=3_776_958_464,
        figures="18.53M, 3.79G with normalisation",
        source="timm mixer_s16_224",
    ),
    Published(
        spec="models.mixer:mixer_b16",
        input_shape=_IMAGE,
        params=59_880_472,
        macs=12_601_767_936,
        figures="59.88M, 12.62G with normalisation",
        source="timm mixer_b16_224",
    ),
    Published(
        spec="models.vit:vit_b16",
        input_shape=_IMAGE,
        params=86_567_656,
        macs=17_563_828_224,
        figures="86,567,656, 17.564G",
        source="torchvision ViT_B_16_Weights",
    ),
    Published(
        spec="models.transformer:transformer_prefill",
        input_shape=(256,),
        params=34_132_992,
        macs=6_987_710_464,
        figures="",
        source=_BY_HAND,
    ),
    Published(
        spec="models.transformer:transformer_decode",
        input_shape=(1,),
        params=34_132_992,
        macs=41_943_040,
        figures="",
        source=_BY_HAND,
    ),
)

ALEXNET_LAYER_MACS = {
    "conv1": 105_415_200,
    "conv2": 223_948_800,
    "conv3": 149_520_384,
    "conv4": 112_140_288,
    "conv5": 74_760_192,
    "dense1": 37_748_736,
    "dense2": 16_777_216,
    "dense3": 4_096_000,
}
"""MACs of the lecture's AlexNet, layer by layer."""

ALEXNET_CONVOLUTION_WEIGHTS = {
    "conv1": 34_848,
    "conv2": 307_200,
    "conv3": 884_736,
    "conv4": 663_552,
    "conv5": 442_368,
}
"""Weights of the lecture's AlexNet's convolutions, without biases."""

ALEXNET_WEIGHTS = 60_954_656
"""All weights of the lecture's AlexNet, without biases."""

GPT2_PARAMS = 124_439_808
"""Parameters of GPT-2 (12 blocks of width 768, 50,257 tokens, context 1024), as released."""
