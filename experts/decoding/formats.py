"""Formats: which containers and codecs are opened at all. Everything else is refused before it is decoded."""

from __future__ import annotations

import re

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,ogg,asf,mxf,gif"

# Taken where a file's content does not show what it is, as FFmpeg does where it knows the name.
BY_SUFFIX = {
    **dict.fromkeys((".mp4", ".m4v", ".m4a", ".mov", ".qt", ".3gp", ".3g2", ".mj2"), "mov"),
    **dict.fromkeys((".mkv", ".mka", ".webm"), "matroska"),
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".m2t"), "mpegts"),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), "mpeg"),
    **dict.fromkeys((".ogg", ".ogv"), "ogg"),
    **dict.fromkeys((".asf", ".wmv"), "asf"),
    **{f".{name}": name for name in ("avi", "flv", "mxf", "gif")},
}


def _codec_names(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


PICTURE_CODECS = _codec_names("""
    h264 hevc vp8 vp9 libdav1d av1 vvc mpeg1video mpeg2video mpeg4 h263 h263p h263i flv
    msmpeg4 msmpeg4v1 msmpeg4v2 wmv1 wmv2 wmv3 vc1 vp6 vp6f vp6a theora
    mjpeg mjpegb jpeg2000 gif png prores dnxhd dvvideo rawvideo ffv1 huffyuv ffvhuff utvideo qtrle
    svq1 svq3 cinepak indeo3 indeo4 indeo5
""")

SOUND_CODECS = _codec_names("""
    aac aac_latm mp1 mp1float mp2 mp2float mp3 mp3float ac3 ac3_fixed eac3 dca truehd mlp
    opus libopus vorbis libvorbis flac alac amrnb amrwb libopencore_amrnb libopencore_amrwb
    wmav1 wmav2 wmapro wmalossless adpcm_ima_wav adpcm_ima_qt adpcm_ms adpcm_swf
    nellymoser speex libspeex gsm gsm_ms qdm2 qdmc mace3 mace6
""")

# Where a timestamp belongs to one picture, and a keyframe is a place to start decoding from.
SEEKABLE_CODECS = _codec_names("h264 hevc vp8 vp9 libdav1d mpeg1video mpeg2video mpeg4 h263 theora gif")

# Where pictures that no other refers to can be left out; with other codecs that gave wrong pictures.
SKIPPABLE_CODECS = _codec_names("h264 hevc")


def sound_is_read(name: str) -> bool:
    return name in SOUND_CODECS or name.startswith("pcm_")
