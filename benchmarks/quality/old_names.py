"""Names that had to be learned, where the field had a word: none of them is to come back.

Each line: a module as it was, and what stood in it under such a name. The measurement `house` counts those
of the names, of a class with its member, that are defined anywhere in the tree today.
"""

from __future__ import annotations

OLD_NAMES = """
benchmarks.chunks: chunks
benchmarks.cluster: Bench.light LIGHT
benchmarks.datasets.sources: Shelf
benchmarks.datasets.webdataset: KEPT_FREE _looked_through
benchmarks.grown_memory: kept_run
benchmarks.light: _Light
benchmarks.papers.published: Line
benchmarks.papers.studies: Order.units
benchmarks.papers.summary: Found
benchmarks.papers.units: _kept
benchmarks.playhouse.backdrop: Backdrop.light Light
benchmarks.playhouse.cast: held_out
benchmarks.playhouse.record_voices: BANK
benchmarks.playhouse.scenario: Said.line Shot.light
benchmarks.playhouse.sighted: HINT
benchmarks.playhouse.training.choosing: MARKS best_marks marks
benchmarks.playhouse.training.lessons: lessons shelf
benchmarks.playhouse.training.material: LOOKED_AT
benchmarks.playhouse.voices: BANK Line
benchmarks.recall_ranking: kept_run
benchmarks.records: _told
benchmarks.scale: Index.piece_rows Index.piece_seconds
benchmarks.synthetic: LOOKS
benchmarks.table_ablation: _kept_run
benchmarks.table_training: _kept_run
benchmarks.taggers: TOLD kept_run
benchmarks.tagging_stage: Stage
benchmarks.taught_text: alike taught
experts.decoding.canvas: Canvas.slots
experts.decoding.children: Child.line
experts.decoding.hostile: doors
experts.decoding.reader: KEPT_PACKETS Reader.kept
experts.decoding.sampling: SHOT_LOOKS looks
experts.decoding.sandbox: close_the_doors
experts.decoding.soundtrack: Soundtrack._piece
experts.decoding.watching: _Watch.line
experts.hearing.listeners: Listener SphinxListener WhisperListener
experts.hearing.soundprint: _bank
experts.hearing.sphinx: Found
experts.hearing.voice: VoiceActivity._to_stretches
experts.scene: SceneExpert.gathering
experts.screen: ALIKE Line alike
experts.seeing.pictures: unseen
experts.selftest: _doors
experts.speech: SpeechExpert._stretches SpeechExpert.listener SpeechSettings.listener
experts.stock.pull: _turn
experts.weights: Found _from_line
retrieval.calibration: line
retrieval.cluster.pieces: Head.pieces Piece Spot
retrieval.cluster.serving: Keeper.piece
retrieval.explain: Explanation.held Piece
retrieval.faiss_index: FaissIndex.worn RAYS
retrieval.learning: bank_helps learn_hubs nowhere
retrieval.learnt: Judgement.line Learnt Learnt.hubs Learnt.nowhere
retrieval.milvus: MilvusIndex.held_revision
retrieval.reader: _seal
retrieval.rerank: KEPT Looker._kept
retrieval.search: TOLD
retrieval.searcher: Alike Found Looked MOST_HELD Searcher._alike Searcher._held Searcher._held_at
retrieval.searcher: Searcher.learnt
retrieval.web.app: TURN
retrieval.web.desk: Desk Desk.shelf SHELF_BYTES
retrieval.web.doors: Doors
retrieval.web.finding: Alike Found
retrieval.web.judging: ALIKE
retrieval.web.media: PIECE
retrieval.web.overview: Held
retrieval.web.progress: is_held
retrieval.web.shelf: Shelf
retrieval.web.table: _unseen
retrieval.words: held_by
table.batches: Lessons Units
table.config: ModelConfig.tag_slots ModelConfig.text_slots
table.frames: FramesHeld
table.launch: TOLD
tagging.catalog: _alike
tagging.cluster.shards: Shelf looks
tagging.cluster.stages: Line Parcel Writing.shelf
tagging.findable: Findable
tagging.folder: _held
tagging.generator.config: TaggerConfig.hint_words
tagging.generator.copying: CopyingDecoder.hint
tagging.generator.data: LOOKS Lessons Turn
tagging.generator.decoding: Drafted _Rows.held
tagging.generator.drafts: Drafter.pieces
tagging.generator.encoder: Batch.hint_mask Batch.hint_scores Batch.hints Seen.hint_mask Seen.hint_scores
tagging.generator.encoder: Seen.hints
tagging.generator.hinting: Advisor HintingCollator.advisor
tagging.generator.layers: HINTS Held Held._hints Held.hint_features Held.hint_mask Held.hints LOUD
tagging.generator.layers: WordDecoder.slots
tagging.generator.model: Tagger._held Tagger._told Tagger.hint_places Tagger.hint_strength
tagging.generator.train: DRAFTED Outcome.shelf _advisor
tagging.generator.words: Words._marks
tagging.merging.evidence: Candidate.pieces Piece
tagging.merging.merger: ALIKE Merged.pieces
tagging.neighbours.views: told
tagging.planning: UNSEEN
tagging.rivals.openbook: Shelf
tagging.sidecars.files: _mark rival
tagging.sidecars.rows: found seal_of
tagging.sidecars.sheet: Found seal
tagging.sidecars: Format.line
tagging.timeline: Line
tagging.training: HouseTrainer.lessons HouseTrainer.line
tagging.unseen: Unseen unseen
"""


def old_names() -> dict[str, str]:
    """Each name with the module in which it stood."""
    rows = (line.partition(": ") for line in OLD_NAMES.strip().splitlines())
    return {name: module for module, _, names in rows for name in names.split()}
