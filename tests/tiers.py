"""Which tests are slow: what plain ``pytest`` leaves out, and ``pytest -m "not gpu"`` runs.

The tests that are not slow take less than two minutes on two cores and go through every wing.
Names begin in tests/: a folder, a file, a test ("file::test") or some of its cases
("file::test[case"). Of the names that a test begins with, the longest decides.
"""

SLOW = (
    "bank/test_shipped_banks.py::test_a_shipped_bank_is_sound",
    "bank/test_shipped_banks.py::test_cards",
    "bank/test_shipped_banks.py::test_errors",
    "benchmarks",
    "bounds/test_bounds.py::test_certificate",
    "bounds/test_bounds.py::test_command_prints",
    "bounds/test_bounds.py::test_energies_of_photographs",
    "bounds/test_bounds.py::test_no_order_0",
    "bounds/test_bounds.py::test_shift_bound",
    "bounds/test_bounds.py::test_zeros_beyond_the_edge",
    "bounds/test_growth.py::test_leaks",
    "bounds/test_growth.py::test_the_command",
    "cexport/test_command.py::test_all_ways_to_generate",
    "cexport/test_command.py::test_large_kernels",
    "cexport/test_command.py::test_noise_is_warned_of",
    "cexport/test_command.py::test_weights_alone",
    "cexport/test_command.py::test_what_the_tables_cannot_hold",
    "cexport/test_compile.py",
    "cexport/test_examples.py",
    "cexport/test_guide.py",
    "cexport/test_hostile.py::test_absurd_banks",
    "cexport/test_hostile.py::test_banks_of_any_magnitude",
    "cexport/test_hostile.py::test_random_magnitudes",
    "cexport/test_magnitudes.py::test_finite_images",
    "cexport/test_microcontroller.py",
    "cexport/test_rounding.py::test_no_image_exceeds",
    "cexport/test_rounding.py::test_rounding_is_no_worse",
    "cexport/test_values.py",
    "cexport/test_wasm.py",
    "cli/test_commands.py::test_bank_figure",
    "cli/test_commands.py::test_demo_draws",
    "cli/test_commands.py::test_filters_are_shown",
    "cli/test_commands.py::test_no_command_uses",
    "cli/test_commands.py::test_plot_bank_by_name",
    "cli/test_pipeline.py::test_killed",
    "cli/test_pipeline.py::test_workers_and_threads",
    "cli/test_pipeline_outputs.py::test_a_kill_within",
    "cli/test_pipeline_outputs.py::test_text_is_never",
    "cli/test_transform.py::test_bank_by_name_and_by_path",
    "cli/test_transform.py::test_channel_all",
    "cli/test_transform.py::test_npy_equals_scatter",
    "cpu/test_executor.py::test_bits_depend_neither_on_threads_nor_on_parts[symmetric",
    "cpu/test_executor.py::test_equals_numpy",
    "cpu/test_executor.py::test_measured_memory",
    "cpu/test_executor.py::test_memory_of_a_thread",
    "cpu/test_executor.py::test_nan_and_infinity_reach_as_far_as_numpys_and_no_other_image[accurate",
    "cpu/test_executor.py::test_rounding_errors_are_no_larger_than_numpys[5",
    "cpu/test_executor.py::test_rounds_of_orientations_change_nothing_but_rounding[kymatio",
    "cpu/test_interruptions.py::test_a_fork",
    "cpu/test_interruptions.py::test_calls_work",
    "cpu/test_interruptions.py::test_ctrl_c_in_the_compiler",
    "cpu/test_processes.py",
    "docs/test_clusters.py::test_recipes",
    "docs/test_pages.py::test_python_on_a_page_runs[docs/sklearn",
    "docs/test_pages.py::test_python_on_a_page_runs[docs/large",
    "doors/test_dask.py::test_on_a_cluster",
    "doors/test_dask.py::test_random_chunks",
    "doors/test_sklearn.py::test_a_search",
    "exports/test_onnx_web.py",
    "docs/test_pages.py::test_recipes_run",
    "docs/test_pages.py::test_the_pictures_of_the_pages",
    "gpu/test_launches.py::test_every_cell",
    "gpu/test_launches.py::test_every_step_is_launched",
    "gpu/test_launches.py::test_memory_decides",
    "gpu/test_launches.py::test_rings_hold",
    "gpu/test_launches.py::test_strips_and_bands",
    "gpu/test_launches.py::test_tiles_hold",
    "gpu/test_races.py",
    "gpu/test_simulator.py",
    "torch/test_gradient.py::test_compiled_gradients_of_shipped_banks",
    "torch/test_gradient.py::test_gradients_by_filters",
    "torch/test_module.py::test_exported_programs",
    "torch/test_page.py",
    "tools/test_evidence.py::test_a_row",
    "tools/test_folded.py::test_shipped_banks",
    "tools/test_kymatio_figures.py::test_a_package",
    "tools/test_kymatio_figures.py::test_the_factors",
    "tools/test_learning.py::test_a_learner_starts",
    "tools/test_learning.py::test_command_line",
    "tools/test_learning.py::test_freeze",
    "tools/test_learning.py::test_learning_lowers",
    "tools/test_learning.py::test_resumed_run",
    "tools/test_selecting.py",
    "transform/test_kymatio_conventions.py::test_at_the_finest_scale",
    "transform/test_kymatio_conventions.py::test_output_shapes",
    "transform/test_kymatio_suite.py::TestKymatiosRepository",
    "transform/test_past_the_range.py",
    "transform/test_scattering.py::test_equals_the_definition[symmetric L=6",
    "transform/test_scattering.py::test_equals_the_definition[symmetric L=8",
    "transform/test_laws.py::test_a_constant_image_has_an_average_and_nothing_else[numba",
)
FAST = (
    "bank/test_shipped_banks.py::test_a_shipped_bank_is_sound[paper-tuned",
    "cexport/test_compile.py::test_the_text_is_plain",
    "cexport/test_compile.py::test_two_units_compile_without_warnings_and_run[float-gcc",
    "cexport/test_values.py::test_float_coefficients_are_those_in_double_precision[accurate-J=2-32x32",
    "cexport/test_values.py::test_q15_coefficients_are_the_simulations_to_the_bit[free-L=4-R=1",
    "cexport/test_values.py::test_the_cases_cover",
    "cpu/test_executor.py::test_equals_numpy_and_each_image_its_own[free, strided",
    "cpu/test_executor.py::test_equals_numpy_and_each_image_its_own[paper shape",
    "cpu/test_executor.py::test_memory_of_a_thread[1",
    "cpu/test_processes.py::test_a_forked_child",
    "cpu/test_processes.py::test_nothing_is_read_or_written",
    "gpu/test_launches.py::test_every_cell_of_a_mean_is_summed_once[free, one tap",
    "gpu/test_launches.py::test_every_step_is_launched_once_and_every_channel_written_once[free",
    "gpu/test_launches.py::test_tiles_hold_what_runs_read[free, one tap",
    "gpu/test_launches.py::test_rings_hold_every_row_until_it_was_read[paper shape-device0",
    "gpu/test_launches.py::test_strips_and_bands_cover_every_target_once[free, one tap-any",
    "transform/test_kymatio_conventions.py::test_output_shapes[1",
)


def is_slow(name):
    """Return whether a test is slow.

    Parameters
    ----------
    name : str
        As pytest has it, but relative to tests/: "folder/file.py::test[case]".
    """
    longest = {
        slow: max((len(prefix) for prefix in prefixes if name.startswith(prefix)), default=-1)
        for slow, prefixes in ((True, SLOW), (False, FAST))
    }
    return longest[True] > longest[False]
