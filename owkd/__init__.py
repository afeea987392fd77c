"""OWKD: optimal weight-based knowledge distillation for person re-identification. Knows no Ray and no Optuna."""
