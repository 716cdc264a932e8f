import subprocess
import sys
import textwrap

import pytest


def run_python(code: str) -> str:
    """Runs code in a fresh interpreter and returns what it printed."""
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_the_package_loads_no_heavy_module():
    loaded = run_python(
        """
        import sys, dpiqa
        dpiqa.__version__, dpiqa.bundled_checkpoint(), dir(dpiqa)
        print([name for name in ("torch", "transformers", "numpy", "PIL") if name in sys.modules])
        """
    )
    assert loaded == "[]"


def test_opening_an_image_needs_no_torch():
    assert run_python("import sys, dpiqa; dpiqa.open_image; print('torch' in sys.modules)") == "False"


def test_scoring_loads_neither_diffusers_nor_datasets_nor_gradio_nor_ray():
    loaded = run_python(
        """
        import sys, dpiqa, numpy
        dpiqa.Scorer.from_pretrained()(numpy.zeros((64, 64, 3), "uint8"))
        print([name for name in ("diffusers", "datasets", "gradio", "ray", "pandas") if name in sys.modules])
        """
    )
    assert loaded == "[]"


@pytest.mark.parametrize("first", ["dpiqa", "transformers"])
def test_auto_classes_know_the_student_whichever_package_is_imported_first(first):
    names = run_python(
        f"""
        import {first}
        from transformers import AutoConfig, AutoImageProcessor, AutoModel
        import dpiqa
        folder = dpiqa.bundled_checkpoint()
        for auto in (AutoConfig, AutoImageProcessor, AutoModel):
            print(type(auto.from_pretrained(folder)).__name__)
        """
    )
    assert names.split() == ["DPIQAStudentConfig", "DPIQAImageProcessor", "DPIQAStudent"]


def test_auto_config_alone_knows_the_student():
    name = run_python(
        """
        import dpiqa
        from transformers import AutoConfig
        print(type(AutoConfig.from_pretrained(dpiqa.bundled_checkpoint())).__name__)
        """
    )
    assert name == "DPIQAStudentConfig"


@pytest.mark.parametrize("first", ["dpiqa", "transformers.pipelines", "dpiqa.models.pipeline_dpiqa"])
def test_pipelines_know_the_task_whichever_module_is_imported_first(first):
    name = run_python(
        f"""
        import {first}
        import dpiqa
        from transformers.pipelines import PIPELINE_REGISTRY
        print(PIPELINE_REGISTRY.check_task("image-quality-assessment")[1]["impl"].__name__)
        """
    )
    assert name == "ImageQualityAssessmentPipeline"


def test_threads_that_import_at_once_lose_no_registration():
    names = run_python(
        """
        import dpiqa
        from threading import Barrier, Thread

        autos = ("AutoConfig", "AutoImageProcessor", "AutoModel", "pipeline")
        barrier = Barrier(len(autos))

        def load(auto):
            barrier.wait()
            import transformers
            getattr(transformers, auto)

        threads = [Thread(target=load, args=(auto,)) for auto in autos]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        import transformers
        folder = dpiqa.bundled_checkpoint()
        for auto in autos[:3]:
            print(type(getattr(transformers, auto).from_pretrained(folder)).__name__)
        print(type(transformers.pipeline("image-quality-assessment")).__name__)
        """
    )
    expected = ["DPIQAStudentConfig", "DPIQAImageProcessor", "DPIQAStudent", "ImageQualityAssessmentPipeline"]
    assert names.split() == expected


def test_an_unknown_name_is_an_attribute_error():
    assert run_python("import dpiqa; print(hasattr(dpiqa, 'DPIQASchoolteacher'))") == "False"
