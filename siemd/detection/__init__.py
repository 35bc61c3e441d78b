"""Detection: Sigma rules and correlations over the stream of events, and the incidents they raise."""

from siemd.detection.config import DetectionConfig
from siemd.detection.detector import Detector
from siemd.detection.loading import load_ruleset
from siemd.detection.ruleset import Ruleset
from siemd.detection.stage import DetectionStage

__all__ = ["DetectionConfig", "DetectionStage", "Detector", "Ruleset", "load_ruleset"]
