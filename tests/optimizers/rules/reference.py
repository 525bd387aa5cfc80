"""AdamP, SGDP and AdaRem as their papers write them, in NumPy and float64: what the fast ones are held against."""

from __future__ import annotations

import numpy as np


def projected(weight, grad, update, delta=0.1, eps=1e-8):
    """The update without its radial part, and whether one was taken out: by channel, else by layer, else neither."""
    if weight.ndim < 2:
        return update, False
    for rows in (weight.shape[0], 1):
        w, g, u = (a.reshape(rows, -1) for a in (weight, grad, update))
        norms = np.maximum(np.linalg.norm(w, axis=1), eps) * np.maximum(np.linalg.norm(g, axis=1), eps)
        if np.max(np.abs((w * g).sum(1)) / norms) < delta / np.sqrt(w.shape[1]):
            unit = w / (np.linalg.norm(w, axis=1, keepdims=True) + eps)
            return (u - (unit * u).sum(1, keepdims=True) * unit).reshape(weight.shape), True
    return update, False


def adamp(weight, grads, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, wd_ratio=0.1, delta=0.1):
    """Algorithm 2 of AdamP."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, grad in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        update = m / (np.sqrt(v / (1 - beta2**t)) + eps)
        update, taken = projected(weight, grad, update, delta, eps)
        weight = weight * (1 - lr * weight_decay * (wd_ratio if taken else 1.0)) - lr / (1 - beta1**t) * update
    return weight


def sgdp(weight, grads, lr, momentum=0.9, weight_decay=0.0, wd_ratio=0.1, delta=0.1):
    """Algorithm 1 of AdamP."""
    buffer = np.zeros_like(weight)
    for grad in grads:
        buffer = momentum * buffer + grad
        update, taken = projected(weight, grad, buffer, delta)
        shrink = lr * weight_decay / (1 - momentum) * (wd_ratio if taken else 1.0)
        weight = weight * (1 - shrink) - lr * update
    return weight


def adarem(weight, grads, lr, beta=0.999, lam=0.999, eps=1e-8, weight_decay=0.0):
    """Algorithm 1 of AdaRem, each step an epoch."""
    m = np.zeros_like(weight)
    for t, grad in enumerate(grads):
        b = grad * m / (np.abs(grad) * np.abs(m).max() + eps)
        weight = weight - lr * (1 + lam**t * b) * grad - lr * weight_decay * weight
        m = beta * m + (1 - beta) * grad
    return weight


def soap(weight, grads, lr, beta1=0.95, beta2=0.95, eps=1e-8, weight_decay=0.0, frequency=10):
    """Algorithm 3 of SOAP on a matrix, both sides rotated; the first gradient only makes the eigenbases."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    left, right = (1 - beta2) * grads[0] @ grads[0].T, (1 - beta2) * grads[0].T @ grads[0]
    ql, qr = (np.linalg.eigh(c)[1][:, ::-1] for c in (left, right))
    for t, grad in enumerate(grads[1:], start=1):
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * (ql.T @ grad @ qr) ** 2
        update = ql @ (ql.T @ m @ qr / (np.sqrt(v) + eps)) @ qr.T
        weight = weight - lr * np.sqrt(1 - beta2**t) / (1 - beta1**t) * update
        weight = weight - lr * weight_decay * weight
        left = beta2 * left + (1 - beta2) * grad @ grad.T
        right = beta2 * right + (1 - beta2) * grad.T @ grad
        if t % frequency == 0:
            for side, (covariance, basis) in enumerate(((left, ql), (right, qr))):
                order = np.argsort(-np.diag(basis.T @ covariance @ basis), kind="stable")
                v = np.take(v, order, axis=side)
                basis = np.linalg.qr(covariance @ basis[:, order])[0]
                ql, qr = (basis, qr) if side == 0 else (ql, basis)
    return weight
