"""Speaks the bank of sentences once with flite and packs it; run by hand, never when videos are made.

    python -m tagline.benchmarks.playhouse.world.record_voices            speak, listen, pack
    python -m tagline.benchmarks.playhouse.world.record_voices --listen   only say which topics are misheard

Needs the program flite with the voices rms, kal16, awb and slt, and pocketsphinx. Word times come from
aligning the known text with the sound. The choice of topics was made with --listen: words that the
recogniser's general English model misses in most voices were replaced, which is said in the datasheet.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tempfile
import wave
import zipfile
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.world.sentences import TOPICS, sentences

VOICES = ("rms", "kal16", "awb", "slt")
RATE = 16_000
BIT_RATE = 13_000
RECORDINGS = Path(__file__).parent / "voices.zip"
Sound = npt.NDArray[np.int16]


def speak(text: str, voice: str) -> Sound:
    """int16 [S] at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path), "rb") as file:
            if file.getframerate() != RATE or file.getnchannels() != 1:
                raise RuntimeError(f"flite's voice {voice} does not speak at {RATE} Hz, mono")
            return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def even_out(sound: Sound) -> Sound:
    """The same loudness for every voice: a root mean square of 2,600 while it speaks."""
    loud = sound[np.abs(sound.astype(np.int32)) > 200].astype(np.float64)
    gain = 2600.0 / max(float(np.sqrt(np.mean(loud**2))), 1.0)
    return np.clip(np.round(sound * gain), -30000, 30000).astype(np.int16)


def to_opus(sound: Sound) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as container:
        stream: Any = container.add_stream("libopus", rate=RATE, layout="mono", bit_rate=BIT_RATE)
        stream.options = {"application": "voip", "vbr": "on", "frame_duration": "60"}
        frame = av.AudioFrame.from_ndarray(sound[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue()


def align(sound: Sound, text: str) -> list[tuple[str, float, float]]:
    """Every word of the text with its start and end in seconds."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=RATE, loglevel="FATAL", bestpath=False)
    decoder.set_align_text(text)
    decoder.start_utt()
    decoder.process_raw(sound.tobytes(), full_utt=True)
    decoder.end_utt()
    words = []
    for segment in decoder.seg() or ():
        word = segment.word.split("(")[0]
        if not word.startswith(("<", "[")):
            words.append((word, round(segment.start_frame / 100, 2), round((segment.end_frame + 1) / 100, 2)))
    if [word for word, _, _ in words] != text.split():
        # The aligner gave up: spread the words over the sound by their number of letters.
        ends = np.cumsum([len(word) + 1 for word in text.split()]) / (len(text) + 1) * len(sound) / RATE
        starts = np.concatenate([[0.0], ends[:-1]])
        words = [(w, round(float(a), 2), round(float(b), 2)) for w, a, b in zip(text.split(), starts, ends)]
    return words


def misheard_topics() -> dict[str, list[str]]:
    """Which voices say each topic so that a general English model does not hear it."""
    from pocketsphinx import Decoder

    from tagline.benchmarks.playhouse.world.voices import from_opus

    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    misheard: dict[str, list[str]] = defaultdict(list)
    for topic in TOPICS:
        for text in sentences(topic):
            for voice in VOICES:
                sound = from_opus(to_opus(even_out(speak(text, voice))))
                decoder.start_utt()
                decoder.process_raw(sound.tobytes(), full_utt=True)
                decoder.end_utt()
                heard = decoder.hyp().hypstr.split() if decoder.hyp() else []
                if topic not in heard:
                    misheard[topic].append(voice)
        print(topic, 16 - len(misheard[topic]), *misheard[topic], flush=True)
    return misheard


def pack() -> None:
    """Every sentence in two of the voices, so that each topic is said by all of them."""
    index, sounds = [], {}
    for number, topic in enumerate(TOPICS):
        for which, text in enumerate(sentences(topic)):
            for repeat in (0, 1):
                voice = VOICES[(number + which + 2 * repeat + which // 2) % len(VOICES)]
                sound = even_out(speak(text, voice))
                name = f"{topic}-{which}-{voice}.opus"
                sounds[name] = to_opus(sound)
                index.append(
                    {
                        "file": name,
                        "topic": topic,
                        "which": which,
                        "voice": voice,
                        "text": text,
                        "seconds": round(len(sound) / RATE, 3),
                        "words": align(sound, text),
                    }
                )
    with zipfile.ZipFile(RECORDINGS, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in [("index.json", json.dumps(index).encode()), *sorted(sounds.items())]:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    print(f"{len(sounds)} sentences, {RECORDINGS.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--listen", action="store_true")
    if parser.parse_args().listen:
        misheard_topics()
    else:
        pack()


if __name__ == "__main__":
    main()
