#!/usr/bin/env python3
"""Writes Tests/Golden/evaluate/harness/: the tasks of `evaluate` as lm-eval itself runs them.

The documents are made up here, a hundred a task, and two of each subject of MMLU. lm-eval reads them in place
of its data sets, makes contexts and continuations, runs models/stories in float32, and computes the results.
Of each document `results.json` holds a digest of its texts and the log-likelihoods, and of the first
documents of each task the texts themselves.

    python3 Scripts/golden/harness.py                     needs lm-eval 0.4 with its extra "hf"
    python3 Scripts/golden/harness.py SHARED TARGET       the tasks in SHARED/tasks, first 100 documents
"""

import hashlib
import json
import os
import pathlib
import random
import sys

os.environ["DISABLE_MULTIPROC"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

import datasets
import lm_eval
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "Tests" / "Golden" / "evaluate" / "harness"
COUNT = 100
NAMES = ["piqa", "arc_easy", "arc_challenge", "hellaswag", "winogrande", "boolq", "rte", "lambada_openai"]


# --- Made-up documents


WORDS = (
    "the a little big red old happy girl boy dog cat tree house ball park rain sun river cake box friend mother "
    "ran jumped saw found gave took said was went played under over near with and but because then very so"
).split()
PEOPLE = ["Tom", "Sue", "Ben", "Lily", "Max", "Zoë", "José"]
MARKS = [".", ".", "!", "?", " …", ' "yes".', "; 2 + 2 = 4."]


class Maker:
    def __init__(self):
        self.random = random.Random(20260301)

    def words(self, low, high):
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(low, high)))

    def sentence(self, low=4, high=10):
        return f"{self.random.choice(PEOPLE)} {self.words(low, high)}{self.random.choice(MARKS)}"

    def piece(self):
        """A short text, now and then with white space or a mark at an end."""
        text = self.words(1, 4)
        return self.random.choice([text] * 7 + [" " + text, text + "  ", text + "\n"])

    def piqa(self):
        return {
            "goal": self.sentence(),
            "sol1": self.sentence(),
            "sol2": self.piece(),
            "label": self.random.randrange(2),
        }

    def arc(self):
        count = self.random.choice([3, 4, 4, 4, 5])
        labels = ["12345", "ABCDE"][self.random.randrange(2)][:count]
        return {
            "question": self.sentence(),
            "choices": {"text": [self.piece() for _ in labels], "label": list(labels)},
            "answerKey": self.random.choice(labels),
        }

    arc_easy = arc_challenge = arc

    def hellaswag(self):
        steps = ["", " [title] ", " [step] ", "  "]
        return {
            "activity_label": self.words(1, 2).title(),
            "ctx_a": self.sentence() + self.random.choice(steps) + self.words(1, 3),
            "ctx_b": self.random.choice(["", "the DOG", "she", "éric ran and"]),
            "endings": [self.piece() + self.random.choice(steps) + self.sentence() for _ in range(4)],
            "label": str(self.random.randrange(4)),
        }

    def winogrande(self):
        one, two = self.random.sample(PEOPLE, 2)
        return {
            "sentence": f"{one} saw {two} and _ {self.words(2, 8)}. ",
            "option1": one,
            "option2": two,
            "answer": str(self.random.randint(1, 2)),
        }

    def boolq(self):
        # One passage in fifty does not fit into the model's context of 1024 tokens.
        sentences = 160 if self.random.randrange(50) == 0 else self.random.randint(1, 4)
        return {
            "passage": " ".join(self.sentence() for _ in range(sentences)),
            "question": self.words(4, 9),
            "label": self.random.randrange(2),
        }

    def rte(self):
        return {
            "sentence1": self.sentence(),
            "sentence2": self.sentence(),
            "label": self.random.randrange(2),
        }

    def lambada_openai(self):
        # A sentence that the model knows, so that greedy decoding now and then finds the last word.
        starts = ["Once upon a time, there was a little", "They lived happily ever", "Once upon a"]
        ends = ["girl", "after", "time", "dog.", self.random.choice(WORDS)]
        text = f"{self.sentence()} {self.random.choice(starts)} {self.random.choice(ends)}"
        return {"text": text.replace(" little", self.random.choice([" little", "\nlittle", "  little"]))}

    def mmlu(self, subject):
        return {
            "question": self.random.choice(["", " ", "\n"]) + self.sentence() + self.random.choice(["", " ", "\n\n"]),
            "subject": subject,
            "choices": [self.piece() for _ in range(4)],
            "answer": self.random.randrange(4),
        }


def made_up():
    maker = Maker()
    data = {name: [getattr(maker, name)() for _ in range(COUNT)] for name in NAMES}
    data["mmlu/dev"] = [maker.mmlu(subject) for subject in subjects() for _ in range(5)]
    data["mmlu/test"] = [maker.mmlu(subject) for subject in subjects() for _ in range(2)]
    return data


def subjects():
    folder = pathlib.Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"
    return sorted(path.stem.removeprefix("mmlu_") for path in folder.glob("mmlu_*.yaml"))


# --- The shared tasks, as the data sets of Hugging Face have them


def lines(path):
    return [json.loads(line) for line in path.open()]


def shared_tasks(folder):
    labels = (folder / "piqa/valid-labels.lst").read_text().split()
    piqa = [{**doc, "label": int(label)} for doc, label in zip(lines(folder / "piqa/valid.jsonl"), labels)]

    def arc(name):
        for doc in lines(folder / f"arc/{name}-Test.jsonl"):
            choices = doc["question"]["choices"]
            parts = {key: [choice[key] for choice in choices] for key in ["text", "label"]}
            yield {"question": doc["question"]["stem"], "choices": parts, "answerKey": doc["answerKey"]}

    def hellaswag():
        for doc in lines(folder / "hellaswag/hellaswag_val.jsonl"):
            # The file has both parts of the context in one text, behind the label.
            label, context = doc["ctx"].split(": ", 1)
            yield {"activity_label": label, "ctx_a": context, "ctx_b": "", "endings": doc["endings"], "label": str(doc["label"])}

    return {
        "piqa": piqa,
        "arc_easy": list(arc("ARC-Easy")),
        "arc_challenge": list(arc("ARC-Challenge")),
        "hellaswag": list(hellaswag()),
        "winogrande": lines(folder / "winogrande/dev.jsonl"),
    }


# --- lm-eval


def load_dataset_from(data):
    """A stand-in for `datasets.load_dataset` that returns the documents of `data`."""
    names = {
        "baber/piqa": "piqa",
        "Rowan/hellaswag": "hellaswag",
        "allenai/winogrande": "winogrande",
        "aps/super_glue": "boolq",
        "nyu-mll/glue": "rte",
        "EleutherAI/lambada_openai": "lambada_openai",
    }

    def load(path, name=None, **_):
        if path == "cais/mmlu":
            parts = {split: [doc for doc in data[f"mmlu/{split}"] if doc["subject"] == name] for split in ["dev", "test"]}
        else:
            key = name.lower().replace("-", "_") if path == "allenai/ai2_arc" else names[path]
            parts = dict.fromkeys(["validation", "test", "train"], data[key])
        return datasets.DatasetDict({split: datasets.Dataset.from_list(docs) for split, docs in parts.items()})

    return load


def digest(choices, gold):
    """What `ChoiceDocument.digest` computes."""
    parts = b"".join(text.encode() + b"\xff" for pair in choices for text in pair)
    return hashlib.sha256(parts + str(gold).encode()).hexdigest()[:16]


def run(model, names, data, **options):
    datasets.load_dataset = load_dataset_from(data)
    output = lm_eval.simple_evaluate(model=model, tasks=names, bootstrap_iters=1000, random_seed=0, **options)
    tasks, first = {}, {}
    for name, samples in output["samples"].items():
        documents = []
        for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
            # The target is a text where there are several contexts, or no choices.
            if name == "winogrande":
                gold = int(sample["doc"]["answer"]) - 1
            else:
                gold = 0 if name == "lambada_openai" else int(sample["target"])
            values = [value for value, _ in sample["filtered_resps"]]
            greedy = [int(flag) for _, flag in sample["filtered_resps"]]
            choices = [tuple(pair) for pair in sample["arguments"]]
            documents.append([digest(choices, gold), gold, [round(float(value), 6) for value in values], greedy])
            # The questions of one subject of MMLU show what those of all look like.
            if len(documents) == 1 and (not name.startswith("mmlu_") or name == "mmlu_anatomy"):
                first[name] = choices
        tasks[name] = documents
    keep = ("acc", "perplexity")
    results = {
        name: {key: value for key, value in metrics.items() if key.startswith(keep) or key in ("alias", "sample_len")}
        for name, metrics in output["results"].items()
    }
    return {"tasks": tasks, "first": first, "results": results, "group_subtasks": output.get("group_subtasks", {})}


def description():
    return {
        "generator": f"golden/{pathlib.Path(__file__).name}",
        "generator_sha256": hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest(),
        "python": sys.version.split()[0],
        "lm_eval": lm_eval.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def write(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace('["', '\n["') + "\n")


def main():
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(ROOT / "models" / "stories"), dtype="float32", device="cpu", batch_size=16)
    if len(sys.argv) > 2:
        data = shared_tasks(pathlib.Path(sys.argv[1]) / "tasks")
        write(pathlib.Path(sys.argv[2]), {**description(), **run(model, list(data), data, limit=100)})
        return
    data = made_up()
    for name, docs in data.items():
        path = TARGET / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs))
    zero = run(model, [*NAMES, "mmlu"], data)
    five = run(model, ["mmlu"], data, num_fewshot=5)
    write(TARGET / "results.json", {**description(), "zero": zero, "five": five})


main()
