/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_math: the arithmetic of the workloads that carry data. Real work on real bytes, the same to the bit wherever
 * it runs: a block's sums are made in the order of its rows and the blocks' in theirs, whatever order they arrived in.
 */
#include "agents/compare.h"

#define RATE 0.5 /* of the descent: features lie in -0.5 to 0.5, so their variance is 1/12 */

/* A number from 0 to 1 - 2^-24 out of 64 mixed bits (splitmix64). */
static float chance(uint64_t number)
{
    number += 0x9E3779B97F4A7C15u;
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9u;
    number = (number ^ (number >> 27)) * 0x94D049BB133111EBu;
    return (float)((number ^ (number >> 31)) >> 40) / (float)(1 << 24);
}

/* The weight that the data was made with. */
static float hidden_weight(uint32_t column)
{
    return chance(column) * 2 - 1;
}

void stead_train_make(uint32_t block, float *ret_rows)
{
    float hidden[STEAD_TRAIN_FEATURES];

    for (uint32_t column = 0; column < STEAD_TRAIN_FEATURES; column++)
        hidden[column] = hidden_weight(column);
    for (uint32_t i = 0; i < STEAD_TRAIN_ROWS; i++) {
        float *row = ret_rows + (size_t)i * STEAD_TRAIN_COLUMNS, target = 0;
        uint64_t number = ((uint64_t)block << 32) + (uint64_t)i * STEAD_TRAIN_COLUMNS + 1000;
        for (uint32_t column = 0; column < STEAD_TRAIN_FEATURES; column++) {
            row[column] = chance(number + column) - 0.5f;
            target += row[column] * hidden[column];
        }
        row[STEAD_TRAIN_FEATURES] = target + (chance(number + STEAD_TRAIN_FEATURES) - 0.5f) * 0.1f;
    }
}

void stead_train_block(const float *rows, const float *weights, struct stead_train_part *ret_part)
{
    float sums[STEAD_TRAIN_COLUMNS] = {0}, loss = 0;

    for (uint32_t i = 0; i < STEAD_TRAIN_ROWS; i++, rows += STEAD_TRAIN_COLUMNS) {
        float lanes[4] = {0, 0, 0, 0};
        for (uint32_t column = 0; column + 3 < STEAD_TRAIN_FEATURES; column += 4) {
            for (uint32_t lane = 0; lane < 4; lane++)
                lanes[lane] += rows[column + lane] * weights[column + lane];
        }
        for (uint32_t column = STEAD_TRAIN_FEATURES / 4 * 4; column < STEAD_TRAIN_FEATURES; column++)
            lanes[0] += rows[column] * weights[column];
        float error = lanes[0] + lanes[1] + lanes[2] + lanes[3] - rows[STEAD_TRAIN_FEATURES];
        for (uint32_t column = 0; column < STEAD_TRAIN_COLUMNS; column++)
            sums[column] += error * rows[column];
        loss += error * error;
    }
    for (uint32_t column = 0; column < STEAD_TRAIN_FEATURES; column++)
        ret_part->gradient[column] = (double)sums[column];
    ret_part->loss = (double)loss;
}

double stead_train_move(const struct stead_train_part *parts, uint32_t count, float *weights)
{
    double rows = (double)count * STEAD_TRAIN_ROWS, loss = 0;

    for (uint32_t column = 0; column < STEAD_TRAIN_FEATURES; column++) {
        double sum = 0;
        for (uint32_t block = 0; block < count; block++)
            sum += parts[block].gradient[column];
        weights[column] -= (float)(RATE * sum / rows);
    }
    for (uint32_t block = 0; block < count; block++)
        loss += parts[block].loss;
    return rows > 0 ? loss / rows : 0;
}

void stead_serve_make(float *ret_model)
{
    for (uint32_t i = 0; i < STEAD_SERVE_CLASSES * STEAD_SERVE_WORDS; i++)
        ret_model[i] = chance(i) * 2 - 1;
}

uint32_t stead_serve_classify(const float *model, const uint32_t *words, uint32_t count)
{
    uint32_t best = 0;
    float most = 0;

    for (uint32_t class = 0; class < STEAD_SERVE_CLASSES; class ++) {
        const float *weights = model + (size_t) class * STEAD_SERVE_WORDS;
        float score = 0;
        for (uint32_t i = 0; i < count; i++)
            score += weights[words[i] % STEAD_SERVE_WORDS];
        if (class == 0 || score > most) {
            most = score;
            best = class;
        }
    }
    return best;
}
