from __future__ import annotations

from medkd.review.ask_form import AskForm, models_asked


def test_each_model_is_asked_about_its_own_classes(of_a_panel):
    report, _ = of_a_panel
    segmenter, classifier = models_asked(report)
    assert [segmenter.explanation, classifier.explanation] == [one.digest() for one in report.explanations]
    assert segmenter.classes == (report.explanations[0].lesions[0].class_name,)
    assert classifier.classes == ("benign", "malignant")
    form = AskForm("/ask", "t", (segmenter, classifier, classifier), (3, 4, 5))
    assert form.classes == (*segmenter.classes, "benign", "malignant")
