Feature: All files or none
  A job may say that its files become visible together or not at all: nobody finds half an export in the bucket.

  Background:
    Given a source with these files
      | path   | size     |
      | /one   | 2000     |
      | /two   | 3000     |
      | /large | 11000000 |
    And the job lands all of its files or none

  Scenario: All of them land
    When a job lands all of them
    Then the job is COMPLETED
    And 3 files are stored
    And every stored file is identical to its source

  Scenario Outline: <what>, and no object appears
    Given <what>
    When a job lands all of them
    Then the job is FAILED
    And 0 files are stored
    And two is <state> because of <error>
    And one is CANCELLED
    And large is CANCELLED
    And nothing is left of one
    And nothing is left of two
    And nothing is left of large

    Examples:
      | what                   | state    | error               |
      | two answers 404        | FAILED   | SourceStatusError   |
      | two has another sha256 | REJECTED | DigestMismatchError |

  Scenario: S3 wants every part of a file again
    Given the job says if_exists is never
    And S3 answers the completion of large by 409
    When a job lands all of them
    Then the job is COMPLETED
    And 3 files are stored
    And every stored file is identical to its source
    And large is asked for twice
    And one is asked for once

  Scenario: S3 wants every part of a file again, and then again
    Given the job says if_exists is never
    And S3 answers the completion of large by 409
    And S3 answers the completion of large by 409
    When a job lands all of them
    Then the job is FAILED
    And 2 files are stored
    And every stored file is identical to its source
    And large is FAILED because of SendAgainError
    And nothing is left of large

  Scenario: A bad file that the job tolerates keeps no other back
    Given two answers 404
    And the job tolerates that 40 percent of its files fail
    When a job lands all of them
    Then the job is COMPLETED_WITH_FAILURES
    And 2 files are stored
    And every stored file is identical to its source
    And nothing is left of two
