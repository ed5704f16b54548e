/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: what the workloads of `stead compare` and of the workflow benches share: the arithmetic of the two that
 * carry data, and their kinds. For agents/compare*.c and for the command, which checks the results that it gets against
 * the same functions.
 *
 * Data is made, not stored in the program: row i of set `seed` is a function of both, so a resident copy, a stored copy
 * and the command's own agree to the bit.
 */
#ifndef STEAD_AGENTS_COMPARE_H
#define STEAD_AGENTS_COMPARE_H

#include "stead/orchestration.h"

/* Labels of the nodes that run the workloads' code, and of those that hold their stored objects: so that a hub on a
 * node of its own is no worker. */
#define STEAD_COMPARE_LABEL "worker"
#define STEAD_COMPARE_STORE_LABEL "storage"

/* Training: least squares by gradient descent over rows of 63 features and a target. */
#define STEAD_TRAIN_COLUMNS 64u                          /* floats of a row; the last is the target */
#define STEAD_TRAIN_FEATURES (STEAD_TRAIN_COLUMNS - 1)   /* and so many weights */
#define STEAD_TRAIN_ROW_BYTES (STEAD_TRAIN_COLUMNS * 4u) /* 256 */
#define STEAD_TRAIN_ROWS 4095u /* of a block: with its msgpack header it is just below 1 MiB */
#define STEAD_TRAIN_BLOCK_BYTES (STEAD_TRAIN_ROWS * STEAD_TRAIN_ROW_BYTES)
#define STEAD_TRAIN_BLOCKS_MAX 1024u

/* What one block adds to a step. */
struct stead_train_part {
    double gradient[STEAD_TRAIN_FEATURES];
    double loss; /* sum of squared errors */
};
/* Fills a block's rows (STEAD_TRAIN_ROWS x STEAD_TRAIN_COLUMNS floats). */
void stead_train_make(uint32_t block, float *ret_rows);
/* The block's part with these weights. */
void stead_train_block(const float *rows, const float *weights, struct stead_train_part *ret_part);
/* Adds the parts in their order and moves the weights; the mean squared error before the move. */
double stead_train_move(const struct stead_train_part *parts, uint32_t count, float *weights);

/* Serving: a bag of words scored against classes. */
#define STEAD_SERVE_CLASSES 255u
#define STEAD_SERVE_WORDS 1024u
#define STEAD_SERVE_MODEL_BYTES (STEAD_SERVE_CLASSES * STEAD_SERVE_WORDS * 4u) /* just below 1 MiB */
#define STEAD_SERVE_BATCH 10u                                                  /* documents */
#define STEAD_SERVE_LENGTH 16u                                                 /* words of a document */
/* Fills the model. */
void stead_serve_make(float *ret_model);
/* The class of a document of `count` words. */
uint32_t stead_serve_classify(const float *model, const uint32_t *words, uint32_t count);

/* The kinds of compare_data.c; agents/bench.c lists them. */
extern const struct stead_kind stead_compare_store_kind, stead_compare_model_kind, stead_compare_trainer_kind;
extern const struct stead_kind stead_compare_predict_kind, stead_compare_step_kind;
/* Those of compare.c. */
extern const struct stead_kind stead_compare_hello_kind, stead_compare_quick_hello_kind, stead_compare_noop_kind;
extern const struct stead_kind stead_compare_counter_kind, stead_compare_account_kind;

#endif
