"""Hooks: those that a test forgets are named and taken away, and `cam.hooks.add` forgets none."""

from __future__ import annotations

import pytest


def test_forgotten_hooks_are_named_and_gone_before_the_next_test(project):
    project.write(
        test_leaks="""
        from functools import partial

        from torch import nn

        MODULE_GLOBAL = spotlight()
        FAMILY = {"small": spotlight(), "large": [spotlight()]}

        def spy(module, args, output=None):
            pass

        class Spy:
            def __call__(self, module, grad_input, grad_output):
                pass

        def hooks(model):
            return [
                hook
                for module in model.modules()
                for name, table in vars(module).items()
                if "_hooks" in name and isinstance(table, dict)
                for hook in table
            ]

        def test_session_fixture(cam, model, photo):
            cam(model, photo)
            model[0].register_forward_hook(spy)

        def test_session_fixture_is_clean(cam, model):
            assert hooks(model) == []

        def test_module_global(cam, photo):
            MODULE_GLOBAL[1].register_forward_pre_hook(spy)
            cam(MODULE_GLOBAL, photo)
            MODULE_GLOBAL.register_full_backward_hook(Spy())

        def test_module_global_is_clean(cam):
            assert hooks(MODULE_GLOBAL) == []

        def test_in_a_container(cam):
            FAMILY["small"][3].register_forward_hook(partial(spy, output=1), with_kwargs=True, always_call=True)

        def test_in_a_container_is_clean(cam):
            assert hooks(FAMILY["small"]) == []

        class TestClass:
            shared = spotlight()

            def test_class_attribute(self, cam):
                self.shared[0].register_full_backward_pre_hook(lambda module, grad: None)

            def test_class_attribute_is_clean(self, cam):
                assert hooks(self.shared) == []

        def test_that_fails_too(cam, model, photo):
            model[0].register_forward_hook(spy)
            cam.assert_attention_in_region(model, photo, DARK)

        @pytest.fixture
        def fails_in_teardown():
            yield
            raise RuntimeError("of another kind")

        def test_whose_fixture_fails_too(cam, model, photo, fails_in_teardown):
            model[0].register_forward_hook(spy)
        """
    )

    # Each test that looks for what is left needs the one before it in its own process.
    result = project.run(*(["--dist=loadfile"] if "-n2" in project.plugin_args else []))

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=9, failed=1, errors=6)
    lines = (project.path / "test_leaks.py").read_text(encoding="utf-8").splitlines()
    spy, called = (1 + lines.index(text) for text in lines if text.strip().startswith(("def spy(", "def __call__(")))
    result.stdout.fnmatch_lines_random(
        [
            "*ERROR at teardown of test_session_fixture *",
            f"*HookLeakError: the test left 1 hook on a model: forward hook test_leaks.spy (test_leaks.py:{spy}) on *",
            "*HookLeakError: the test left 2 hooks on a model: *",
            f"*backward hook test_leaks.Spy (test_leaks.py:{called}) on Sequential layer (the model)*",
            "*forward pre hook test_leaks.spy (test_leaks.py:*) on Sequential layer 1*",
            "*forward hook test_leaks.spy (test_leaks.py:*) on Sequential layer 3*",
            "*backward pre hook test_leaks.TestClass.test_class_attribute.<locals>.<lambda> (test_leaks.py:*) on Seq*",
            "*ERROR at teardown of test_that_fails_too *",
            "*RuntimeError: of another kind",
        ]
    )


def test_a_forgotten_hook_that_stands_for_something_else_is_named(project):
    project.write(
        test_stand_in="""
        class StandIn:
            def __getattr__(self, name):
                return self

            def __call__(self, module, args, output):
                pass

        def test_it(cam, model):
            model[0].register_forward_hook(StandIn())
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    lines = (project.path / "test_stand_in.py").read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "def __call__" in text)
    result.stdout.fnmatch_lines([f"*HookLeakError: the test left 1 hook *(test_stand_in.py:{line}) on Seq*"])


def test_hooks_that_a_test_did_not_forget_are_left_alone(project):
    project.write(
        test_clean="""
        import gc
        import weakref
        from unittest.mock import Mock

        import torch
        from torch import nn

        class OwnHooks(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(*spotlight())
                self.layers[0].register_forward_hook(self.look)

            def look(self, module, args, output):
                self.seen = output.detach()

            def forward(self, inputs):
                return self.layers(inputs)

        def spy(module, args, output):
            calls.append(module)

        calls = []

        @pytest.fixture(scope="module")
        def normalised():
            model = spotlight()
            model[3] = nn.utils.spectral_norm(model[3])
            return model

        @pytest.fixture
        def hooked_after_cam(cam, model):
            handle = model[0].register_forward_hook(spy)
            yield
            handle.remove()

        @pytest.fixture
        def hooked_before_cam(model):
            handle = model[0].register_forward_hook(spy)
            yield
            handle.remove()

        @pytest.fixture
        def handles():
            handles = []
            yield handles
            for handle in handles:
                handle.remove()

        def test_spectral_norm(cam, normalised, photo):
            cam(normalised, photo, target=1)

        def test_own_hooks_of_a_model(cam, photo):
            cam(OwnHooks(), photo)

        def test_own_hooks_of_a_model_that_comes_late(cam, request, photo):
            cam(request.getfixturevalue("normalised"), photo, target=1)

        def test_fixture_removes_after_cam(hooked_after_cam, cam, model, photo):
            cam(model, photo)
            assert calls

        def test_fixture_removes_before_cam(hooked_before_cam, cam, model, photo):
            cam(model, photo)

        def test_fixture_removes_what_the_test_placed_first(handles, cam, model, photo):
            handles.append(model[0].register_forward_hook(spy))
            cam(model, photo)

        def test_fixture_removes_what_the_test_placed_last(cam, model, photo, handles):
            cam(model, photo)
            handles.append(model[0].register_forward_hook(spy))

        def test_models_come_and_go(cam, photo):
            models = [spotlight()]
            seen = weakref.ref(models[0])
            cam(models.pop(), photo)
            gc.collect()
            assert seen() is None, "a model that the test is done with is kept"

        def test_with_block(cam, model, photo):
            with model[0].register_forward_hook(spy):
                cam(model, photo)

        @pytest.fixture
        def double():
            return Mock(spec=nn.Module)

        def test_double_of_a_model(cam, double):
            pass

        def test_model_without_the_fixture_is_not_watched(model, photo):
            attend(model, photo)
        """
    )

    project.run().assert_outcomes(passed=11)


def test_added_hooks_work_and_leave_with_the_test(project):
    project.write(
        test_added="""
        import torch

        def double(module, args, output):
            return 2 * output

        def score(model, photo):
            with torch.no_grad():
                return model(photo[None])[0, 1].item()

        # The mean of the photo is 0.25; each hook doubles it.
        def test_by_name_and_by_module(cam, model, photo):
            cam.hooks.add(model, "0", double)
            handle = cam.hooks.add(model, model[3], double)
            assert score(model, photo) == cam(model, photo).score == 1.0
            handle.remove()
            assert score(model, photo) == 0.5

        def test_after_it(model, photo):
            assert score(model, photo) == 0.25

        @pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
        def test_that_fails(cam, model, photo):
            cam.hooks.add(model, "0", double)
            1 / 0

        def test_after_the_failure(model, photo):
            assert score(model, photo) == 0.25

        def test_unknown_layers(cam, model):
            with pytest.raises(ValueError, match="Sequential has no layer '33'.*'3'"):
                cam.hooks.add(model, "33", double)
            with pytest.raises(ValueError, match="not part of this Sequential"):
                cam.hooks.add(model, spotlight()[0], double)
            for given, told in ((None, "None"), ("auto", "'auto'"), (-1, "-1")):
                with pytest.raises(ValueError, match=f"layer is {told}; accepted: a dotted name or a module of the m"):
                    cam.hooks.add(model, given, double)
        """
    )

    result = project.run(*(["--dist=loadfile"] if "-n2" in project.plugin_args else []))

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=4, xfailed=1)


def test_forgotten_hook_is_named_and_gone_where_a_fixture_fails_at_its_end(project):
    project.write(
        test_leaks="""
        @pytest.fixture
        def breaking():
            yield
            raise RuntimeError("cannot end")

        def test_leaks(cam, model, photo, breaking):
            cam(model, photo)
            model[0].register_forward_hook(lambda *_: None)

        def test_clean(model):
            assert not model[0]._forward_hooks
        """
    )

    result = project.run()

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: cannot end", "*HookLeakError: *"])


def test_leak_does_not_keep_a_run_from_ending(project):
    project.write(
        test_ends="""
        @pytest.fixture
        def ends_the_run():
            yield
            pytest.exit("enough", returncode=7)

        def test_it(cam, model, ends_the_run):
            model[0].register_forward_hook(print)

        def test_next():
            open("ran", "w").close()
        """
    )

    result = project.run(*(["--dist=loadfile"] if "-n2" in project.plugin_args else []))

    assert result.ret != pytest.ExitCode.OK
    assert not (project.path / "ran").exists()


def test_hooks_that_transformers_places_when_a_model_first_runs_stay(project):
    pytest.importorskip("transformers.utils.output_capturing", reason="this version places no such hooks")
    project.write(
        test_segmenter="""
        import torch
        import transformers

        from pytest_cam import SegmentationMask

        WHERE = SegmentationMask(1, (8, 8, 40, 40))

        @pytest.fixture(scope="session")
        def segmenter():
            settings = transformers.SegformerConfig(
                depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8
            )
            return transformers.SegformerForSemanticSegmentation(settings).eval()

        @pytest.mark.parametrize("number", [1, 2])
        def test_segmenter(cam, segmenter, number):
            cam(segmenter, torch.rand(3, 64, 64), target=WHERE)
            assert len(segmenter(torch.rand(1, 3, 64, 64), output_hidden_states=True).hidden_states) == 4
        """
    )

    project.run().assert_outcomes(passed=2)
